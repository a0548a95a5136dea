{# Grain: one row per group of marts that are published together. #}
{{ config(materialized='view') }}

select
    published.group_name,
    published.bound as position,
    published.run_id,
    published.code_version,
    published.published_at,
    published.held_back,
    published.held_back_at,
    kept.published_at as changed_at
from {{ converge.state_table('published') }} as published
left join {{ converge.state_table('publications') }} as kept
    on published.publication = kept.publication
