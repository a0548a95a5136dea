-- Orders count on the day on which they were placed. Sales are goods less discounts plus freight, less what credit
-- notes gave back; what was cancelled or could not be delivered
-- is not counted. Refunds count on the day of their order, on whatever day they were
-- paid back. An average order is the sales of sold orders that have an amount in US dollars, divided by their number.
-- The tier is that of the order's discount; the source is the system that the order comes from.
select
    case when channel = any(%(channels)s) then channel else 'others' end as channel,
    region,
    discount_tier as tier,
    width_bucket(order_date, cast(%(slots)s as date[])) as slot,
    count(*) filter (where is_counted and not is_credit_note) as orders,
    count(*) filter (where not is_counted and not is_credit_note) as lost_orders,
    count(*) filter (where is_credit_note and is_counted) as credit_notes,
    count(*) filter (where is_returned and is_counted and not is_credit_note) as returned_orders,
    count(total_usd) filter (where is_counted and not is_credit_note) as valued_orders,
    cast(coalesce(sum(item_count) filter (where is_counted), 0) as bigint) as items,
    cast(100 * coalesce(sum(total_usd) filter (where is_counted), 0) as bigint) as sales_cents,
    cast(100 * coalesce(sum(-total_usd) filter (where is_credit_note and is_counted), 0) as bigint) as credited_cents,
    cast(100 * coalesce(sum(discount_usd) filter (where is_counted), 0) as bigint) as discount_cents,
    cast(100 * coalesce(sum(refunded_usd) filter (where is_counted and not is_credit_note), 0) as bigint) as refunded_cents
from core.fct_orders
where order_date between %(first)s and %(last)s
group by 1, 2, 3, 4
order by 1, 2, 3, 4
