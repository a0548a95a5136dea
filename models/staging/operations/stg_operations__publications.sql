{# Grain: one row per invocation of dbt with this target and group of marts: what was published of it then. #}
{{ config(materialized='ephemeral') }}

select
    invocation_id,
    group_name,
    noted_at,
    position,
    run_id,
    code_version,
    published_at,
    held_back_at
from {{ source('operations', 'publications') }}
where target = '{{ target.name }}'
