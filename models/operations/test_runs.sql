{#
    Grain: one row per invocation of dbt and data test.
    Of a test that did not pass: since when, and whether it passed over the same landed loads and the same code too.
    A view: the end of every run adds rows.
#}
{{ config(materialized='view') }}

select
    runs.invocation_id,
    runs.run_id,
    runs.run_started_at,
    runs.name,
    runs.unique_id,
    runs.tested_id,
    runs.group_name,
    runs.publish_group,
    runs.status,
    runs.failures,
    runs.started_at,
    runs.seconds,
    runs.position,
    runs.code_version,
    history.first_failed_at,
    coalesce(history.is_flaky, false) as is_flaky,
    runs.schema_name,
    runs.relation_name
from {{ ref('stg_operations__node_results') }} as runs
cross join
    lateral (
        select
            min(case
                when
                    past.status != 'pass'
                    and past.run_started_at <= runs.run_started_at
                    and (past.last_passed_at is null or past.run_started_at > past.last_passed_at)
                    then past.run_started_at
            end) as first_failed_at,
            max(case
                when past.status = 'pass' and past.position = runs.position and past.code_version = runs.code_version then 1
            end) = 1 as is_flaky
        from (
            select
                results.*,
                max(case when results.status = 'pass' and results.run_started_at < runs.run_started_at then results.run_started_at end)
                    over () as last_passed_at
            from {{ ref('stg_operations__past_results') }} as results
            where
                -- Of a test that passed nothing is looked up.
                runs.status in ('warn', 'fail', 'error')
                and runs.unique_id = results.unique_id
                -- A build tests what it changed, `dbt test` all rows.
                and (runs.command = 'test') = (results.command = 'test')
                and results.status in ('pass', 'warn', 'fail', 'error')
        ) as past
    ) as history
where runs.resource_type = 'test'
