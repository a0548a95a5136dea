{# Grain: one row per web customer, the latest accepted version. #}
{{ config(unique_key='customer_id') }}

select
    customer_id,
    source_customer_id,
    email,
    full_name,
    address,
    postal_code,
    city,
    state,
    country,
    created_at,
    updated_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__customers') }}
where _errors is null
