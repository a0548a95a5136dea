{{ config(severity='warn') }}
-- Warns of each order whose source states a total that differs from the sum of its lines by more than rounding:
-- a line may be in quarantine, waiting or missing, or the total may include something that no line has.
select
    orders.order_id,
    orders.currency,
    orders.stated_amount,
    orders.total_amount,
    orders.stated_difference,
    orders.line_count
from {{ converge.tested(ref('fct_orders'), 'order_id') }} as orders
left join {{ ref('currencies') }} as currencies
    on orders.currency = currencies.currency
where
    orders.is_counted
    and 2 * abs(orders.stated_difference) * power(10, coalesce(currencies.minor_unit, 2)) > orders.line_count
