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
    runs.bytes,
    -- Statements that were forgotten since the run before took their counts with them.
    case
        when runs.statements_forgotten = coalesce(usual.statements_forgotten, 0)
            then runs.counted_buffers - coalesce(usual.counted_buffers, 0)
    end as buffers
from {{ ref('stg_operations__node_results') }} as runs
cross join
    lateral (
        select
            percentile_cont(0.5) within group (order by past.seconds) filter (where past.status = 'success') as seconds,
            count(*) filter (where past.status = 'success') as runs,
            max(past.statements_forgotten) filter (where past.counted_since = runs.counted_since) as statements_forgotten,
            max(past.counted_buffers) filter (
                where past.counted_since = runs.counted_since and past.statements_forgotten = runs.statements_forgotten
            ) as counted_buffers
        from {{ ref('stg_operations__past_results') }} as past
        where
            runs.unique_id = past.unique_id
            and past.run_started_at < runs.run_started_at
            and past.run_started_at >= {{ dbt.dateadd('day', -28, 'runs.run_started_at') }}
    ) as usual
where runs.resource_type in ('model', 'seed', 'snapshot')
