{#
    Grain: one row per pipeline and interval: its last run. A run that has no interval is a row of its own.
    A view: the end of every run adds a row, or takes the place of one.
#}
{{ config(materialized='view') }}

with runs as (

    select
        *,
        row_number() over (partition by pipeline, interval_from, interval_until, lone_run_id order by ended_at desc) as rank_of_interval,
        count(*) over (partition by pipeline, interval_from, interval_until, lone_run_id) as ends
    from (
        select
            *,
            case when interval_from is null or interval_from = interval_until then run_id end as lone_run_id
        from {{ ref('stg_operations__pipeline_runs') }}
    ) as runs

)

select
    pipeline,
    interval_from,
    interval_until,
    run_id,
    state,
    cast(ends as integer) as ends,
    tasks,
    broken_tasks,
    loads,
    landed_rows,
    started_at,
    ended_at,
    {{ seconds_between('started_at', 'ended_at') }} as seconds
from runs
where rank_of_interval = 1
