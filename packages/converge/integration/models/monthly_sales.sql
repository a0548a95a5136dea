{# Grain: one row per month and region with at least one order. #}
{{ config(unique_key=['order_month', 'region']) }}

{% call converge.touched('order_month', 'region') %}
    select cast(date_trunc('month', order_date) as date) as order_month, region
    from {{ converge.changes(ref('daily_sales')) }}
{% endcall %}

select
    cast(date_trunc('month', order_date) as date) as order_month,
    region,
    count(*) as days,
    sum(amount) as amount
from {{ converge.touched_rows(ref('daily_sales'), "cast(date_trunc('month', order_date) as date)", 'region') }} as touched
group by 1, 2
