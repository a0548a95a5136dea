{# Grain: one row per line of a marketplace order's latest version. #}
{{ config(unique_key=['order_id', 'line_number'], incremental_strategy='replace_keys') }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_marketplace__orders')) }}
{% endcall %}

with orders as (

    select * from {{ ref('stg_marketplace__orders') }}
    where
        {{ converge.is_touched('order_id') }}
        and not _is_deleted

)

select
    orders.order_id,
    cast(line ->> 'line_number' as integer) as line_number,
    trim(line ->> 'product_id') as product_id,
    cast(line ->> 'quantity' as integer) as quantity,
    cast(line ->> 'unit_price' as numeric(18, 2)) as unit_price,
    cast(coalesce(line ->> 'discount_amount', '0') as numeric(18, 2)) as discount_amount,
    cast(coalesce(line ->> 'freight_amount', '0') as numeric(18, 2)) as freight_amount
from orders
cross join {{ json_elements('orders.lines') }} as line
