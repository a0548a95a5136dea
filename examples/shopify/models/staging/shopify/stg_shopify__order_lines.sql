{# Grain: one row per line of a Shopify order's latest version. #}
{{ config(unique_key=['order_id', 'line_number'], incremental_strategy='replace_keys') }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_shopify__orders')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('stg_shopify__orders'), 'order_id') }} as touched
    where not _is_deleted

)

select
    orders.order_id,
    cast(cast({{ json_field('line', 'line_number') }} as numeric) as integer) as line_number,
    {{ json_id('line', 'product_id') }} as product_id,
    cast(cast({{ json_field('line', 'quantity') }} as numeric) as integer) as quantity,
    {{ as_price(json_field('line', 'unit_price')) }} as unit_price,
    {{ as_price('coalesce(' ~ json_field('line', 'discount_amount') ~ ", '0')") }} as discount_amount,
    {{ as_price('coalesce(' ~ json_field('line', 'freight_amount') ~ ", '0')") }} as freight_amount,
    orders._is_deleted
from orders
cross join {{ json_elements('orders.lines') }} as line
