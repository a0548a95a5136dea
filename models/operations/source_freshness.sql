{#
    Grain: one row per table that was ever loaded: how long it has had nothing new while other tables did.
    Two figures: hours of data, from its newest change to the newest of any table; and hours between loads, from the
    load that landed that change to the latest load. The smaller one counts. So a replayed history, or a source that is
    read long after another, is minutes old by its loads. If no table of any source has anything newer, none is behind.
    A table is late if that is longer than its own longest gap within 400 days, and longer than its declaration allows.
    A table that is read in full has no time of change: the start of its last load is compared with the last load of any table.
    A view: every load changes it.
#}
{{ config(materialized='view') }}

with loaded as (

    select * from {{ ref('int_tables__last_loaded') }}

),

days as (

    select
        source,
        table_name,
        day,
        newest_change_at,
        covered_until,
        max(newest_change_at) over (partition by source, table_name) as newest_of_all_at,
        lag(newest_change_at) over (partition by source, table_name order by day) as newest_before_at
    from {{ ref('int_table_days__counted') }}

),

counted as (

    -- A year and a month, so that this year's holidays are compared with last year's.
    select
        source,
        table_name,
        max(newest_change_at) as newest_change_at,
        max(case
            when newest_before_at >= {{ dbt.dateadd('day', -400, 'newest_of_all_at') }}
                then {{ dbt.datediff('newest_before_at', 'newest_change_at', 'hour') }}
        end) as longest_gap_hours
    from days
    group by source, table_name

),

brought as (

    -- The first load that had the newest change: later ones read it again.
    select
        counted.source,
        counted.table_name,
        min(loads.started_at) as brought_at
    from counted
    inner join {{ ref('int_loads__profiled') }} as hours
        on
            counted.source = hours.source
            and counted.table_name = hours.table_name
            and {{ utc_date('counted.newest_change_at') }} = hours.day
            and counted.newest_change_at = hours.newest_change_at
    inner join {{ ref('stg_ledger__loads') }} as loads
        on hours.load_id = loads.load_id
    group by counted.source, counted.table_name

),

reached as (

    select
        (select max(loaded.started_at) from loaded) as read_at,
        greatest(
            (select max(loaded.interval_until) from loaded),
            (select max(days.covered_until) from days)
        ) as reached_at

),

measured as (

    select
        loaded.source,
        loaded.table_name,
        loaded.load_id as last_load_id,
        loaded.finished_at as last_loaded_at,
        counted.newest_change_at,
        reached.reached_at,
        counted.longest_gap_hours,
        case
            when loaded.kind in ('full', 'change_log') then {{ dbt.datediff('loaded.started_at', 'reached.read_at', 'hour') }}
            else least(
                {{ dbt.datediff('counted.newest_change_at', 'reached.reached_at', 'hour') }},
                {{ dbt.datediff('brought.brought_at', 'reached.read_at', 'hour') }}
            )
        end as hours_behind,
        -- A table that is not loaded is not silent: whatever prevents the load fails its own run.
        case
            when loaded.kind in ('full', 'change_log') then 0
            else least(
                {{ dbt.datediff('counted.newest_change_at', 'reached.reached_at', 'hour') }},
                {{ dbt.datediff('brought.brought_at', 'loaded.started_at', 'hour') }}
            )
        end as hours_silent
    from loaded
    cross join reached
    left join counted
        on
            loaded.source = counted.source
            and loaded.table_name = counted.table_name
    left join brought
        on
            loaded.source = brought.source
            and loaded.table_name = brought.table_name

),

limited as (

    select
        measured.*,
        greatest(limits.warn_hours, measured.longest_gap_hours) as warn_hours,
        greatest(limits.error_hours, 2 * measured.longest_gap_hours) as error_hours,
        limits.error_hours is not null as has_limit
    from measured
    left join {{ ref('freshness_limits') }} as limits
        on
            measured.source = limits.source
            and measured.table_name = limits.table_name

)

select
    source,
    table_name,
    last_load_id,
    last_loaded_at,
    newest_change_at,
    reached_at,
    cast(longest_gap_hours as integer) as longest_gap_hours,
    cast(hours_behind as integer) as hours_behind,
    cast(hours_silent as integer) as hours_silent,
    cast(case when has_limit then warn_hours end as integer) as warn_hours,
    cast(case when has_limit then error_hours end as integer) as error_hours,
    cast(case
        when not has_limit then 'no_limit'
        when hours_behind is null then 'no_history'
        when hours_silent > error_hours then 'error'
        when hours_behind > warn_hours then 'warn'
        else 'ok'
    end as varchar) as verdict,
    cast(
        source || '.' || table_name || ' is ' || hours_behind || ' hours behind (a test warns after ' || warn_hours || ') and was read for '
        || hours_silent || ' hours without anything new (the run fails after ' || error_hours || '). Its longest gap within 400 days was '
        || coalesce(longest_gap_hours || ' hours', 'unknown')
        || '. Ask the owner of the source. If such a gap is normal, set its freshness in models/staging/'
        || source || '/_' || source || '__sources.yml' as varchar
    ) as words
from limited
