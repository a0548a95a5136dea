{#
    Grain: one row per customer who bought.
    A view: recency changes every day for every customer, and a day must cost what changed. It is as of the last day with sales.
#}
{{ config(materialized='view') }}

with customers as (

    select * from {{ ref('int_customers__valued') }}

),

as_of as (

    select max(order_date) as as_of_date from {{ ref('agg_daily_sales') }}

),

aged as (

    select
        customers.*,
        as_of.as_of_date,
        {{ dbt.datediff('customers.last_order_date', 'as_of.as_of_date', 'day') }} as recency_days,
        -- Less than a quarter says too little about a year.
        greatest({{ dbt.datediff('customers.first_order_date', 'as_of.as_of_date', 'day') }} + 1, 90) as observed_days
    from customers
    cross join as_of

),

scored as (

    select
        *,
        case when recency_days <= 30 then 3 when recency_days <= 90 then 2 else 1 end as recency_score,
        case when orders >= 5 then 3 when orders >= 2 then 2 else 1 end as frequency_score,
        case when spend_usd >= 1000 then 3 when spend_usd >= 200 then 2 else 1 end as monetary_score
    from aged

)

select
    customer_id,
    orders,
    spend_usd,
    refunded_usd,
    cast(round(spend_usd / nullif(orders, 0), 2) as numeric(18, 2)) as spend_per_order_usd,
    first_order_date,
    last_order_date,
    cohort_month,
    as_of_date,
    cast(recency_days as integer) as recency_days,
    cast(observed_days as integer) as observed_days,
    cast(round(spend_usd * 365 / observed_days, 2) as numeric(18, 2)) as annual_value_usd,
    recency_score,
    frequency_score,
    monetary_score,
    cast(case
        when recency_score = 3 and frequency_score = 3 and monetary_score = 3 then 'champion'
        when recency_score >= 2 and frequency_score >= 2 then 'loyal'
        when recency_score = 3 and frequency_score = 1 then 'new'
        when recency_score = 1 and frequency_score >= 2 then 'at risk'
        when recency_score = 1 then 'lost'
        else 'occasional'
    end as varchar) as segment,
    first_channel,
    first_region,
    first_discount_tier
from scored
