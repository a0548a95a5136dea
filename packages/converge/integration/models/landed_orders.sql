{# Grain: one row per landed version of an order, typed. #}
{{ config(materialized='ephemeral') }}

select
    order_id,
    country,
    cast(placed_at as date) as order_date,
    coalesce(updated_at, cast('1900-01-01' as timestamptz)) as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row
from {{ converge.landed(source('landing', 'orders')) }} as landed
where order_id is not null
