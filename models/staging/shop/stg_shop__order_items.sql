{# Grain: one row per line of a web order, the latest accepted version; a deleted line stays as a tombstone. #}
{{ config(unique_key=['order_id', 'line_number']) }}

select
    order_id,
    cast(line_number as integer) as line_number,
    product_id,
    seller_id,
    {{ cast_accepted('quantity', 'integer') }} as quantity,
    {{ as_price('unit_price', of_judged=true) }} as unit_price,
    {{ as_price('discount_amount', of_judged=true) }} as discount_amount,
    {{ as_price('freight_amount', of_judged=true) }} as freight_amount,
    ship_by_at,
    created_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__order_items') }}
where _errors is null
