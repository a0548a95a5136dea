{{ config(tags=['audit']) }}
-- Fails with each customer whose orders or spend are not those of their orders.
with orders as (

    select
        customer_id,
        sum(case when is_credit_note then 0 else 1 end) as orders,
        coalesce(sum(total_usd), 0) as spend_usd,
        coalesce(sum(case when not is_credit_note then refunded_usd end), 0) as refunded_usd
    from {{ ref('fct_orders') }}
    where
        customer_id is not null
        and is_counted
    group by customer_id
    -- A customer with credit notes only never bought.
    having sum(case when is_credit_note then 0 else 1 end) > 0

)

select
    coalesce(orders.customer_id, customers.customer_id) as customer_id,
    orders.orders,
    customers.orders as orders_shown,
    orders.spend_usd,
    customers.spend_usd as spend_usd_shown,
    orders.refunded_usd,
    customers.refunded_usd as refunded_usd_shown
from orders
full outer join {{ ref('customer_lifetime_value') }} as customers
    on orders.customer_id = customers.customer_id
where
    orders.orders is distinct from customers.orders
    or orders.spend_usd is distinct from customers.spend_usd
    or orders.refunded_usd is distinct from customers.refunded_usd
