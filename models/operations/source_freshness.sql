{#
    Grain: one row per table that was ever loaded: how far behind the others it is.
    In data time: its newest change against the newest that any table has. A table that is read in full has no time of
    its own: the start of its last load against the last load of all.
    A view: it moves with every load.
#}
{{ config(materialized='view') }}

with loaded as (

    select * from {{ ref('int_tables__last_loaded') }}

),

counted as (

    select
        source,
        table_name,
        max(newest_change_at) as newest_change_at
    from {{ ref('int_table_days__counted') }}
    group by source, table_name

),

reached as (

    select
        (select max(loaded.started_at) from loaded) as read_at,
        greatest(
            (select max(loaded.interval_until) from loaded),
            (select max(days.covered_until) from {{ ref('int_table_days__counted') }} as days)
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
        cast(case
            when loaded.kind = 'full' then {{ dbt.datediff('loaded.started_at', 'reached.read_at', 'hour') }}
            else {{ dbt.datediff('counted.newest_change_at', 'reached.reached_at', 'hour') }}
        end as integer) as hours_behind
    from loaded
    cross join reached
    left join counted
        on
            loaded.source = counted.source
            and loaded.table_name = counted.table_name

)

select
    measured.source,
    measured.table_name,
    measured.last_load_id,
    measured.last_loaded_at,
    measured.newest_change_at,
    measured.reached_at,
    measured.hours_behind,
    limits.warn_hours,
    limits.error_hours,
    {{ freshness_verdict('measured.hours_behind', 'limits') }} as verdict
from measured
left join {{ ref('freshness_limits') }} as limits
    on
        measured.source = limits.source
        and measured.table_name = limits.table_name
