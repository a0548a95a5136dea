{# Grain: one row per customer and month in which they bought or were refunded. #}
{{ config(
    unique_key=['customer_id', 'order_month'],
    meta={'track': ['cohort_month']},
    indexes=[{'columns': ['cohort_month', 'order_month']}],
) }}

{% call converge.touched('customer_id') %}
    select customer_id from {{ converge.changes(ref('fct_orders')) }}
{% endcall %}

with orders as (

    select
        *,
        cast(date_trunc('month', order_date) as date) as own_month,
        case when not is_credit_note then order_date end as sale_date
    from {{ converge.touched_rows(ref('fct_orders'), 'customer_id') }} as touched
    where
        customer_id is not null
        and is_counted

),

dated as (

    select
        *,
        cast(date_trunc('month', min(sale_date) over (partition by customer_id)) as date) as cohort_month,
        first_value(channel) over (partition by customer_id order by is_credit_note, placed_at, order_id) as first_channel,
        first_value(region) over (partition by customer_id order by is_credit_note, placed_at, order_id) as first_region,
        first_value(discount_tier) over (partition by customer_id order by is_credit_note, placed_at, order_id) as first_discount_tier
    from orders

)

-- A credit note before the first sale counts in the month of that sale. A customer with credit notes only never bought, and is not here.
select
    customer_id,
    greatest(own_month, cohort_month) as order_month,
    cohort_month,
    count(sale_date) as orders,
    cast(coalesce(sum(total_usd), 0) as numeric(18, 2)) as spend_usd,
    cast(coalesce(sum(case when not is_credit_note then refunded_usd end), 0) as numeric(18, 2)) as refunded_usd,
    min(sale_date) as first_order_date,
    max(sale_date) as last_order_date,
    first_channel,
    first_region,
    first_discount_tier
from dated
where cohort_month is not null
group by customer_id, greatest(own_month, cohort_month), cohort_month, first_channel, first_region, first_discount_tier
