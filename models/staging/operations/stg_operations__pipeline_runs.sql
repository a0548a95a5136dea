{# Grain: one row per run of a pipeline that came to its end, and again when it was cleared and ended again. #}
{{ config(materialized='ephemeral') }}

select
    pipeline,
    run_id,
    interval_from,
    interval_until,
    state,
    tasks,
    broken_tasks,
    landed_rows,
    loads,
    started_at,
    ended_at
from {{ source('operations', 'pipeline_runs') }}
