{# Grain: one row per invocation of dbt with this target and node. #}
{{ config(materialized='ephemeral') }}

select
    invocation_id,
    unique_id,
    run_id,
    command,
    code_version,
    position,
    run_started_at,
    resource_type,
    name,
    schema_name,
    relation_name,
    materialized,
    tested_id,
    group_name,
    publish_group,
    status,
    message,
    started_at,
    finished_at,
    cast(seconds as numeric(12, 3)) as seconds,
    rows_affected,
    failures,
    thread,
    bytes,
    counted_since,
    statements_forgotten,
    counted_buffers
from {{ source('operations', 'node_results') }}
where target = '{{ target.name }}'
