{#
    Grain: one row per table and day from its first change on; days without a change too.
    A view: every load may complete a day. It reads a row per table and day.
#}
{{ config(materialized='view') }}

{# Below this mean, half of the rows may be missing by chance. #}
{% set least_expected = 10 %}

with counted as (

    select * from {{ ref('int_table_days__counted') }}

),

reached as (

    -- The newest change in any table. Not the clock: a replay reads old data.
    select greatest(
        (select max(counted.covered_until) from counted),
        (select max(loaded.interval_until) from {{ ref('int_tables__last_loaded') }} as loaded)
    ) as reached_at

),

tables as (

    select
        counted.source,
        counted.table_name,
        max(counted.kind) as kind,
        min(counted.day) as first_day,
        max(counted.covered_until) as covered_until,
        max(loaded.started_at) as read_at
    from counted
    inner join {{ ref('int_tables__last_loaded') }} as loaded
        on
            counted.source = loaded.source
            and counted.table_name = loaded.table_name
    group by counted.source, counted.table_name

),

days as (

    select
        tables.*,
        reached.reached_at,
        dates.date_day as day,
        {{ utc_midnight(dbt.dateadd('day', 1, 'dates.date_day')) }} as day_ends_at
    from tables
    cross join reached
    inner join {{ ref('dim_dates') }} as dates
        on dates.date_day between tables.first_day and {{ utc_date("(reached.reached_at - interval '1 microsecond')") }}
    where tables.kind not in ('full', 'change_log')

),

volumes as (

    -- A day that was read and has no row has a volume of zero, the worst of all.
    select
        days.source,
        days.table_name,
        days.kind,
        days.day,
        days.day_ends_at,
        days.reached_at,
        -- The table itself was read beyond the end of the day; or another one was, and this one was read after it.
        days.covered_until >= days.day_ends_at
        or (days.reached_at >= days.day_ends_at and days.read_at >= days.day_ends_at) as is_complete,
        coalesce(counted.landed_rows, 0) as landed_rows,
        coalesce(counted.accepted_rows, 0) as accepted_rows,
        coalesce(counted.refused_rows, 0) as refused_rows,
        coalesce(counted.warned_rows, 0) as warned_rows,
        coalesce(counted.is_read_late, false) as is_read_late,
        counted.newest_change_at
    from days
    left join counted
        on
            days.source = counted.source
            and days.table_name = counted.table_name
            and days.day = counted.day

    union all

    -- For a table that is read in full only differences land: a day without one is normal.
    select
        source,
        table_name,
        kind,
        day,
        {{ utc_midnight(dbt.dateadd('day', 1, 'day')) }} as day_ends_at,
        cast(null as timestamptz) as reached_at,
        cast(null as boolean) as is_complete,
        landed_rows,
        accepted_rows,
        refused_rows,
        warned_rows,
        is_read_late,
        newest_change_at
    from counted
    where kind in ('full', 'change_log')

),

weeks as (

    select 7 as days_ago
    union all
    select 14 as days_ago
    union all
    select 21 as days_ago
    union all
    select 28 as days_ago

),

weekdays_before as (

    select
        volumes.source,
        volumes.table_name,
        cast({{ dbt.dateadd('day', 'weeks.days_ago', 'volumes.day') }} as date) as day,
        count(*) as weeks,
        avg(volumes.landed_rows) as mean_rows,
        sum(case when volumes.is_read_late then 0 else 1 end) as weeks_in_time,
        avg(case when not volumes.is_read_late then volumes.landed_rows end) as mean_rows_in_time
    from volumes
    cross join weeks
    where volumes.kind not in ('full', 'change_log')
    group by
        volumes.source,
        volumes.table_name,
        cast({{ dbt.dateadd('day', 'weeks.days_ago', 'volumes.day') }} as date)

),

compared as (

    -- A day that was read late shows too few rows: it is compared with only where fewer than two others are known.
    -- It makes the mean too low, which never causes a false alarm.
    select
        volumes.*,
        max(volumes.newest_change_at) over (partition by volumes.source, volumes.table_name order by volumes.day) as newest_change_so_far_at,
        case when before.weeks_in_time >= 2 then before.weeks_in_time else coalesce(before.weeks, 0) end as known_weeks,
        cast(round(
            case when before.weeks_in_time >= 2 then before.mean_rows_in_time when before.weeks >= 2 then before.mean_rows end, 1
        ) as numeric(18, 1)) as expected_rows
    from volumes
    left join weekdays_before as before
        on
            volumes.source = before.source
            and volumes.table_name = before.table_name
            and volumes.day = before.day

)

select
    source,
    table_name,
    day,
    landed_rows,
    accepted_rows,
    refused_rows,
    warned_rows,
    cast(known_weeks as integer) as known_weeks,
    expected_rows,
    cast(round(landed_rows / nullif(expected_rows, 0), 4) as numeric(18, 4)) as share_of_expected,
    -- How long before the day's end, or before now when it is not over, the newest change was.
    cast({{ dbt.datediff('newest_change_so_far_at', 'least(day_ends_at, reached_at)', 'hour') }} as integer) as hours_behind,
    cast(case
        when kind in ('full', 'change_log') then 'not_judged'
        when not is_complete then 'incomplete'
        when is_read_late then 'read_late'
        when expected_rows is null then 'no_history'
        when expected_rows < {{ least_expected }} then 'too_few'
        when landed_rows < expected_rows / 2 then 'warn'
        else 'ok'
    end as varchar) as verdict
from compared
