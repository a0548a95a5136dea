{# Grain: one row per product; a deleted product stays, with `is_deleted`. #}
{{ config(unique_key='product_id') }}

{% call converge.touched('product_id') %}
    select product_id from {{ converge.changes(ref('stg_shop__products')) }}
{% endcall %}

select
    product_id,
    cast(name as varchar) as name,
    cast(coalesce(category, 'uncategorised') as varchar) as category,
    price,
    currency,
    coalesce(is_active, false) and not _is_deleted as is_active,
    _is_deleted as is_deleted,
    weight_g,
    length_cm,
    height_cm,
    width_cm,
    created_at,
    updated_at
from {{ converge.touched_rows(ref('stg_shop__products'), 'product_id') }} as touched
