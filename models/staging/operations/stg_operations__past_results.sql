{# Grain: one row per invocation of dbt with this target and node, in the columns that a result is compared by. #}
{{ config(materialized='ephemeral') }}

select
    unique_id,
    command,
    code_version,
    position,
    run_started_at,
    status,
    cast(seconds as numeric(12, 3)) as seconds,
    counted_since,
    statements_forgotten,
    counted_buffers
from {{ source('operations', 'node_results') }}
where target = '{{ target.name }}'
