-- Of the customers who first bought in a month, the cohort, those who bought again in a later one. Guests are not counted,
-- nor are cancelled orders. Channel, source, region and tier are those of a customer's first order. The last 12 cohorts.
with customers as (

    select distinct on (valued.customer_id)
        valued.customer_id,
        valued.cohort_month,
        orders.channel,
        orders.region,
        orders.discount_tier
    from customers.customer_lifetime_value as valued
    inner join core.fct_orders as orders
        on
            valued.customer_id = orders.customer_id
            and valued.first_order_date = orders.order_date
    where
        orders.is_counted
        and not orders.is_credit_note
        and valued.cohort_month > date_trunc('month', cast(%(last)s as date)) - interval '12 months'
        and valued.first_order_date <= %(last)s
    order by valued.customer_id, orders.placed_at, orders.order_id

),

active as (

    select distinct
        customer_id,
        cast(date_trunc('month', order_date) as date) as order_month
    from core.fct_orders
    where
        order_date between date_trunc('month', cast(%(last)s as date)) - interval '12 months' and %(last)s
        and is_counted
        and not is_credit_note

)

select
    case when channel = any(%(channels)s) then channel else 'others' end as channel,
    region,
    discount_tier as tier,
    cohort_month,
    cast(extract(year from age(order_month, cohort_month)) * 12 + extract(month from age(order_month, cohort_month)) as integer) as month_number,
    count(*) as customers
from customers
inner join active using (customer_id)
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
