{# Grain: one row per marketplace buyer, as the latest accepted order describes them. #}
{# The hook: if the gate stops a load, this model waits too. #}
{{ config(
    unique_key='customer_id',
    pre_hook="{% do ref('stg_marketplace__orders') %}",
) }}

select
    customer_id,
    buyer_email as email,
    buyer_name as full_name,
    buyer_city as city,
    buyer_country as country,
    placed_at as created_at,
    updated_at,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_marketplace__orders') }}
where
    _errors is null
    -- A guest's order names no buyer. A deleted order may name none, or only the buyer's id.
    and customer_id is not null
    and not _is_deleted
