-- Lifetime value: what a customer has spent since, refunds not subtracted, on average of all who first bought in the
-- period. Guests are not counted. The segments are those of customers.customer_lifetime_value: how lately, how often and
-- how much somebody bought. Channel, source, region and tier are those of a customer's first order.
with customers as (

    select distinct on (valued.customer_id)
        valued.*,
        fct_orders.channel,
        fct_orders.region,
        fct_orders.discount_tier
    from customers.customer_lifetime_value as valued
    inner join core.fct_orders
        on
            valued.customer_id = fct_orders.customer_id
            and valued.first_order_date = fct_orders.order_date
    where
        fct_orders.is_counted
        and not fct_orders.is_credit_note
        and valued.first_order_date between %(first)s and %(last)s
    order by valued.customer_id, fct_orders.placed_at, fct_orders.order_id

)

select
    case when channel = any(%(channels)s) then channel else 'others' end as channel,
    region,
    discount_tier as tier,
    segment,
    width_bucket(first_order_date, cast(%(windows)s as date[])) as slot,
    count(*) as customers,
    sum(orders) as orders,
    cast(100 * sum(spend_usd) as bigint) as spend_cents
from customers
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
