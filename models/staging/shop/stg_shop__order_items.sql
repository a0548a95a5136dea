{# Grain: one row per line of a web order, the latest accepted version; a deleted line stays as a tombstone. #}
{{ config(unique_key=['order_id', 'line_number']) }}

select
    order_id,
    cast(line_number as integer) as line_number,
    product_id,
    {{ cast_accepted('quantity', 'integer') }} as quantity,
    {{ cast_accepted('unit_price', 'numeric(18, 2)') }} as unit_price,
    {{ cast_accepted('discount_amount', 'numeric(18, 2)') }} as discount_amount,
    {{ cast_accepted('freight_amount', 'numeric(18, 2)') }} as freight_amount,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__order_items') }}
where _errors is null
