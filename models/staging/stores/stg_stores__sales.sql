{# Grain: one row per receipt line, the latest accepted version; a voided line stays as a tombstone. #}
{{ config(unique_key=['order_id', 'line_number']) }}

select
    order_id,
    cast(line_number as integer) as line_number,
    store_id,
    receipt_id,
    credited_order_id,
    customer_id,
    region,
    country,
    product_id,
    {{ cast_accepted('quantity', 'integer') }} as quantity,
    {{ as_price('unit_price', of_judged=true) }} as unit_price,
    {{ as_price('discount_amount', of_judged=true) }} as discount_amount,
    currency,
    payment_method,
    sold_at,
    updated_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_stores__sales') }}
where _errors is null
