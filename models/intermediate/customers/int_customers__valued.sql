{# Grain: one row per customer who bought. #}
{{ config(unique_key='customer_id', meta={'publish': {'schema': 'view_inputs', 'group': 'shop'}}) }}

{% call converge.touched('customer_id') %}
    select customer_id from {{ converge.changes(ref('int_customer_months__summed')) }}
{% endcall %}

select
    customer_id,
    cast(sum(orders) as integer) as orders,
    cast(sum(spend_usd) as numeric(18, 2)) as spend_usd,
    cast(sum(refunded_usd) as numeric(18, 2)) as refunded_usd,
    min(first_order_date) as first_order_date,
    max(last_order_date) as last_order_date,
    min(cohort_month) as cohort_month,
    -- The same in each of a customer's months.
    min(first_channel) as first_channel,
    min(first_region) as first_region,
    min(first_discount_tier) as first_discount_tier
from {{ converge.touched_rows(ref('int_customer_months__summed'), 'customer_id') }} as touched
group by customer_id
