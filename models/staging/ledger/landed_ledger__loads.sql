{# Grain: one row per load, as the ledger has it. Ephemeral: what counts landed rows by load asks it when the load was. #}
{{ config(materialized='ephemeral') }}

select
    load_id,
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
