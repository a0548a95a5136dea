-- Lifetime value: what a customer has spent since, refunds not subtracted, on average of all who first bought in the
-- period. Guests are not counted. The segments are those of customers.customer_lifetime_value: how lately, how often and
-- how much somebody bought. Channel, source, region and tier are those of a customer's first order.
select
    case when first_channel = any(%(channels)s) then first_channel else 'others' end as channel,
    first_region as region,
    first_discount_tier as tier,
    segment,
    width_bucket(first_order_date, cast(%(windows)s as date[])) as slot,
    count(*) as customers,
    sum(orders) as orders,
    cast(100 * sum(spend_usd) as bigint) as spend_cents
from customers.customer_lifetime_value
where first_order_date between %(first)s and %(last)s
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
