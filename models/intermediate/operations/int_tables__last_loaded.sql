{# Grain: one row per table that was ever loaded: its last load, even if that load had no rows. Reconciliations are none. #}
{{ config(
    unique_key=['source', 'table_name'],
    incremental_strategy='upsert',
    meta={'version': ['load_id']},
) }}

select
    source,
    table_name,
    kind,
    load_id,
    interval_until,
    started_at,
    finished_at
from {{ ref('landed_ledger__loads') }}
where kind != 'reconcile'
