{# Grain: one row per invocation of dbt that came to its end. A view: the end of every run adds a row. #}
{{ config(materialized='view') }}

select
    runs.invocation_id,
    runs.run_id,
    runs.command,
    runs.target,
    runs.started_by,
    runs.dag_id,
    runs.dag_run_id,
    runs.task_id,
    runs.try_number,
    runs.selection,
    runs.is_full_refresh,
    runs.code_version,
    runs.dbt_version,
    runs.position,
    runs.started_at,
    runs.ended_at,
    {{ seconds_between('runs.started_at', 'runs.ended_at') }} as seconds,
    cast(counted.nodes as integer) as nodes,
    cast(counted.failed as integer) as failed,
    cast(counted.warned as integer) as warned,
    cast(counted.skipped as integer) as skipped,
    cast(case
        when counted.failed > 0 then 'failed'
        when counted.warned > 0 then 'warned'
        else 'succeeded'
    end as varchar) as status
from {{ ref('stg_operations__dbt_runs') }} as runs
-- Lateral, here and in the other views of runs: of some runs, only their own results are looked up.
cross join lateral (
    select
        count(*) as nodes,
        count(case when results.status in ('error', 'fail', 'runtime error', 'partial success') then 1 end) as failed,
        count(case when results.status = 'warn' then 1 end) as warned,
        count(case when results.status = 'skipped' then 1 end) as skipped
    from {{ ref('stg_operations__node_results') }} as results
    where runs.invocation_id = results.invocation_id
) as counted
