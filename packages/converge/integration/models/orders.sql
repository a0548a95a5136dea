{# Grain: one row per order that is not deleted. #}
{{ config(
    unique_key='order_id',
    meta={'track': ['order_date', 'region']},
    indexes=[{'columns': ['order_date', 'region']}],
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_orders')) }}
    union all
    select order_id from {{ converge.changes(ref('stg_items')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('stg_orders'), 'order_id') }} as touched
    where not _is_deleted

),

items as (

    select
        order_id,
        sum(amount) as amount
    from {{ converge.touched_rows(ref('stg_items'), 'order_id') }} as touched
    where not _is_deleted
    group by order_id

)

select
    orders.order_id,
    orders.order_date,
    cast(coalesce(regions.region, 'other') as varchar) as region,
    cast(coalesce(items.amount, 0) as numeric(12, 2)) as amount
from orders
left join items
    on orders.order_id = items.order_id
left join {{ ref('regions') }} as regions
    on orders.country = regions.country
