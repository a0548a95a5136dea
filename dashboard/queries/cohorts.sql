-- Of the customers who first bought in a month, the cohort, those who bought again in a later one. Guests are not counted,
-- nor are cancelled orders. Channel, source, region and tier are those of a customer's first order. The last 12 cohorts.
with customers as (

    select
        customer_id,
        cohort_month,
        first_channel,
        first_region,
        first_discount_tier
    from customers.customer_lifetime_value
    where
        cohort_month > date_trunc('month', cast(%(last)s as date)) - interval '12 months'
        and first_order_date <= %(last)s

),

active as (

    select distinct
        customer_id,
        cast(date_trunc('month', cast(order_date as timestamp)) as date) as order_month
    from core.fct_orders
    where
        order_date between date_trunc('month', cast(%(last)s as date)) - interval '11 months' and %(last)s
        and is_counted
        and not is_credit_note

)

select
    case when first_channel = any(%(channels)s) then first_channel else 'others' end as channel,
    first_region as region,
    first_discount_tier as tier,
    cohort_month,
    cast(extract(year from age(order_month, cohort_month)) * 12 + extract(month from age(order_month, cohort_month)) as integer) as month_number,
    count(*) as customers
from customers
inner join active using (customer_id)
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
