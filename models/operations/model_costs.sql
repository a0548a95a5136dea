{#
    Grain: one row per day (UTC) and group of owners: what building and testing its nodes took.
    A view: the end of every run adds to a day.
#}
{{ config(materialized='view') }}

with results as (

    select
        {{ utc_date('run_started_at') }} as day,
        coalesce(group_name, 'none') as group_name,
        invocation_id,
        case when resource_type = 'test' then 0 else seconds end as build_seconds,
        case when resource_type = 'test' then seconds else 0 end as test_seconds
    from {{ ref('stg_operations__node_results') }}

),

days as (

    select
        day,
        group_name,
        count(distinct invocation_id) as runs,
        sum(build_seconds) as build_seconds,
        sum(test_seconds) as test_seconds,
        sum(build_seconds + test_seconds) as seconds
    from results
    group by day, group_name

)

select
    day,
    cast(group_name as varchar) as group_name,
    cast(runs as integer) as runs,
    cast(build_seconds as numeric(12, 3)) as build_seconds,
    cast(test_seconds as numeric(12, 3)) as test_seconds,
    cast(seconds as numeric(12, 3)) as seconds,
    cast(round(seconds / nullif(sum(seconds) over (partition by day), 0), 4) as numeric(5, 4)) as share_of_day
from days
