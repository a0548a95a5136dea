{#
    Grain: one row per invocation of dbt and model, seed or snapshot, beside its own median of the 28 days before.
    A view: the end of every run adds rows.
#}
{{ config(materialized='view') }}

select
    runs.invocation_id,
    runs.run_id,
    runs.run_started_at,
    runs.name,
    runs.unique_id,
    runs.resource_type,
    runs.schema_name,
    runs.relation_name,
    runs.group_name,
    runs.status,
    runs.message,
    runs.started_at,
    runs.finished_at,
    runs.thread,
    runs.seconds,
    cast(usual.seconds as numeric(12, 3)) as usual_seconds,
    cast(usual.runs as integer) as known_runs,
    cast(round(runs.seconds / nullif(cast(usual.seconds as numeric), 0), 2) as numeric(12, 2)) as times_usual,
    runs.rows_affected,
    runs.bytes
from {{ ref('stg_operations__node_results') }} as runs
cross join
    lateral (
        select
            percentile_cont(0.5) within group (order by past.seconds) as seconds,
            count(*) as runs
        from {{ ref('stg_operations__past_results') }} as past
        where
            runs.unique_id = past.unique_id
            and past.status = 'success'
            and past.run_started_at < runs.run_started_at
            and past.run_started_at >= {{ dbt.dateadd('day', -28, 'runs.run_started_at') }}
    ) as usual
where runs.resource_type in ('model', 'seed', 'snapshot')
