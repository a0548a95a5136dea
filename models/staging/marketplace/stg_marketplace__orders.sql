{# Grain: one row per marketplace order, the latest accepted version with its lines and payments as they landed. #}
{{ config(unique_key='order_id') }}

select
    cast(order_id as varchar) as order_id,
    source_order_id,
    customer_id,
    cast(credited_order_id as varchar) as credited_order_id,
    region,
    buyer_country as country,
    source_status,
    currency,
    {{ as_price('stated_amount', of_judged=true) }} as stated_amount,
    discount_code,
    placed_at,
    updated_at,
    lines,
    payments,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_marketplace__orders') }}
where _errors is null
