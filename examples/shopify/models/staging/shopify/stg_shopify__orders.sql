{# Grain: one row per Shopify order, the latest accepted version, its lines under our names (`as_lines`); a deleted order stays as a tombstone. #}
{{ config(unique_key='order_id') }}

select
    order_id,
    source_order_id,
    customer_id,
    credited_order_id,
    -- Shopify states no sales region: int_orders__unioned derives it from `country`.
    cast(null as varchar) as region,
    country,
    cast(source_status as varchar) as source_status,
    currency,
    {{ as_price('stated_amount', of_judged=true) }} as stated_amount,
    placed_at,
    updated_at,
    lines,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shopify__orders') }}
where _errors is null
