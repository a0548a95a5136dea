{# Grain: one row per web customer and version (its `updated_at`). The source overwrites these versions; they are kept here. #}
{# The hook: if the gate stops a load, this model waits too. #}
{{ config(
    unique_key=['customer_id', '_version_at'],
    meta={'version': ['_load_id', '_row'], 'track': ['country']},
    pre_hook="{% do ref('stg_shop__customers') %}",
) }}

select
    customer_id,
    _version_at,
    email,
    full_name,
    address,
    postal_code,
    city,
    state,
    country,
    _is_deleted,
    _load_id,
    _row
from {{ ref('judged_shop__customers') }}
where _errors is null
