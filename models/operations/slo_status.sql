{#
    Grain: one row per group of marts and objective of the seed `slo_targets`: how it stands over the last 28 days, or since
    the group was first seen.
    A view, and by the wall clock: that nothing is built any more is what it must show.
#}
{{ config(materialized='view') }}

{% set window_days, burn_days = 28, 3 %}

with targets as (

    select * from {{ ref('slo_targets') }}

),

windows as (

    select
        window_days,
        {{ dbt.dateadd('day', '-window_days', wall_clock()) }} as window_from,
        {{ wall_clock() }} as window_until
    from (values ({{ window_days }}), ({{ burn_days }})) as windows (window_days)

),

publications as (

    -- Each once. What was published after the end of the last build stands in `published_marts` alone.
    select
        group_name,
        published_at
    from {{ ref('stg_operations__publications') }}
    where published_at is not null
    union
    select
        group_name,
        published_at
    from {{ ref('published_marts') }}
    where published_at is not null

),

stretches as (

    select
        group_name,
        published_at as from_at,
        coalesce(lead(published_at) over (partition by group_name order by published_at), {{ wall_clock() }}) as until_at
    from publications

),

fresh as (

    -- In seconds.
    select
        targets.group_name,
        targets.objective,
        windows.window_days,
        sum({{ seconds_between('greatest(stretches.from_at, windows.window_from)', 'stretches.until_at') }}) as measured,
        sum(greatest(0, {{ seconds_between(
            'greatest(' ~ dbt.dateadd('hour', 'targets.within_hours', 'stretches.from_at') ~ ', windows.window_from)',
            'stretches.until_at',
        ) }})) as bad
    from targets
    cross join windows
    inner join stretches
        on
            targets.group_name = stretches.group_name
            and windows.window_from < stretches.until_at
    where targets.objective = 'freshness'
    group by targets.group_name, targets.objective, windows.window_days

),

results as (

    -- A node that was tried again in the same run counts as it ended.
    select
        publish_group,
        run_id,
        run_started_at,
        status,
        row_number() over (partition by run_id, unique_id order by run_started_at desc) as rank_of_try
    from {{ ref('stg_operations__node_results') }}
    where
        publish_group is not null
        and command in ('build', 'retry')
        and run_started_at >= (select min(windows.window_from) from windows)

),

builds as (

    select
        publish_group as group_name,
        run_id,
        max(run_started_at) as started_at,
        max(case when status in ('success', 'pass', 'warn') then 0 else 1 end) as is_bad
    from results
    where rank_of_try = 1
    group by publish_group, run_id

),

succeeded as (

    -- In builds.
    select
        targets.group_name,
        targets.objective,
        windows.window_days,
        count(*) as measured,
        sum(builds.is_bad) as bad
    from targets
    cross join windows
    inner join builds
        on
            targets.group_name = builds.group_name
            and windows.window_from <= builds.started_at
    where targets.objective = 'success'
    group by targets.group_name, targets.objective, windows.window_days

),

measured as (

    select * from fresh
    union all
    select * from succeeded

),

spent as (

    select
        targets.*,
        month.measured,
        month.bad,
        month.bad / nullif(month.measured, 0) as bad_share,
        lately.measured as lately_measured,
        lately.bad as lately_bad
    from targets
    left join measured as month
        on
            targets.group_name = month.group_name
            and targets.objective = month.objective
            and month.window_days = {{ window_days }}
    left join measured as lately
        on
            targets.group_name = lately.group_name
            and targets.objective = lately.objective
            and lately.window_days = {{ burn_days }}

)

select
    group_name,
    objective,
    target,
    within_hours,
    cast(case objective when 'freshness' then measured / 3600 else measured end as numeric(12, 1)) as measured,
    cast(case objective when 'freshness' then bad / 3600 else bad end as numeric(12, 1)) as bad,
    cast(round(1 - bad_share, 4) as numeric(5, 4)) as achieved,
    cast(round(1 - bad_share / (1 - target), 4) as numeric(12, 4)) as error_budget_left,
    cast(case objective when 'freshness' then lately_measured / 3600 else lately_measured end as numeric(12, 1)) as lately_measured,
    cast(case objective when 'freshness' then lately_bad / 3600 else lately_bad end as numeric(12, 1)) as lately_bad,
    cast(round(lately_bad / nullif(lately_measured, 0) / (1 - target), 2) as numeric(12, 2)) as burn_rate,
    1 - bad_share >= target as is_met,
    reason
from spent
