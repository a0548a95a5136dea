{# Grain: one row per load, as the ledger has it. #}
{{ config(unique_key='load_id', meta={'version': ['load_id']}) }}

select
    load_id,
    position,
    source,
    table_name,
    partition,
    kind,
    interval_from,
    interval_until,
    landed_rows,
    landed_bytes,
    started_at,
    finished_at,
    run_id
from {{ ref('landed_ledger__loads') }}
