{# Grain: one row per line of an order, its latest version. #}
{{ config(unique_key=['order_id', 'line_number'], incremental_strategy='upsert') }}

select
    order_id,
    line_number,
    cast(amount as numeric(12, 2)) as amount,
    updated_at as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row
from {{ converge.landed(source('landing', 'items')) }} as landed
