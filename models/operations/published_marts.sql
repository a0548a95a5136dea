{# Grain: one row per group of marts that are published together. #}
{{ config(materialized='view') }}

select
    group_name,
    bound as position,
    run_id,
    code_version,
    published_at,
    held_back,
    held_back_at
from {{ converge.state_table('published') }}
