{# Grain: one row per line of a web order, the latest accepted version; a deleted line stays as a tombstone. #}
{{ config(unique_key=['order_id', 'line_number']) }}

select
    order_id,
    line_number,
    product_id,
    cast(quantity as integer) as quantity,
    cast(unit_price as numeric(18, 2)) as unit_price,
    cast(discount_amount as numeric(18, 2)) as discount_amount,
    cast(freight_amount as numeric(18, 2)) as freight_amount,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__order_items') }}
where _errors is null
