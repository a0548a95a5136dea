{# Grain: one row per day and region with at least one order. #}
{{ config(unique_key=['order_date', 'region']) }}

{% call converge.touched('order_date', 'region') %}
    select order_date, region from {{ converge.changes(ref('orders')) }}
{% endcall %}

select
    order_date,
    region,
    count(*) as orders,
    sum(amount) as amount
from {{ converge.touched_rows(ref('orders'), 'order_date', 'region') }} as touched
group by order_date, region
