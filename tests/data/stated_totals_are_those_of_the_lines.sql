{{ config(severity='warn') }}
-- Warns of each order whose source states another total than its lines come to, beyond what rounding each line can make:
-- a line that is in quarantine, waits or is missing, or a total that includes something that no line says.
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
    not orders.is_cancelled
    and 2 * abs(orders.stated_difference) * power(10, coalesce(currencies.minor_unit, 2)) > orders.line_count
