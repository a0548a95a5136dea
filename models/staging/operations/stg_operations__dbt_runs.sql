{# Grain: one row per invocation of dbt with this target. #}
{{ config(materialized='ephemeral') }}

select
    invocation_id,
    run_id,
    command,
    target,
    started_by,
    dag_id,
    dag_run_id,
    task_id,
    try_number,
    selection,
    is_full_refresh,
    code_version,
    dbt_version,
    position,
    started_at,
    ended_at
from {{ source('operations', 'dbt_runs') }}
where target = '{{ target.name }}'
