{# Grain: one row per load, as the ledger has it. Ephemeral: models that count landed rows by load get the load's times from it. #}
{{ config(materialized='ephemeral') }}

select
    load_id,
    position,
    source,
    table_name,
    partition,
    kind,
    interval_from,
    interval_until,
    rows as landed_rows,
    bytes as landed_bytes,
    started_at,
    finished_at,
    run_id
from {{ converge.landed(source('ledger', 'loads'), 'load_id') }} as landed  -- noqa: AL05
