{# Grain: one row per customer and month in which they bought. #}
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
        cast(date_trunc('month', order_date) as date) as order_month
    from {{ ref('fct_orders') }}
    where
        {{ converge.is_touched('customer_id') }}
        and customer_id is not null
        and not is_cancelled

)

select
    customer_id,
    order_month,
    min(order_month) over (partition by customer_id) as cohort_month,
    count(*) as orders,
    cast(sum(total_usd) as numeric(18, 2)) as spend_usd,
    cast(sum(refunded_usd) as numeric(18, 2)) as refunded_usd,
    min(order_date) as first_order_date,
    max(order_date) as last_order_date
from orders
group by customer_id, order_month
