{# Grain: one row per web order, the latest accepted version; a deleted order stays as a tombstone. #}
{{ config(unique_key='order_id', meta={'track': ['customer_id']}, indexes=[{'columns': ['customer_id']}]) }}

select
    order_id,
    source_order_id,
    customer_id,
    credited_order_id,
    source_status,
    currency,
    {{ as_price('stated_amount', of_judged=true) }} as stated_amount,
    discount_code,
    placed_at,
    approved_at,
    shipped_at,
    delivered_at,
    estimated_delivery_at,
    created_at,
    updated_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__orders') }}
where _errors is null
