{#
    Grain: one row per group of marts that are published together.
    Up to when orders are known: a table up to the end of what was read of it, and beyond it up to the time of its last load,
    as far as any other was read by then. Only loads that readers see count. The days are those of the reporting time zone.
#}
{{ config(materialized='view') }}

{# A table that was not read for so many days, while others were, is waited for no longer: its source is broken, or retired. #}
{% set waits_days = 2 %}
{# And for so many days more it is told that it is missing. #}
{% set tells_days = 91 %}
{% set sold_from = landed_above('agg_daily_sales') %}
{# Their partitions are read one by one, and any may stay away. Of a file its name stands in that place: it says itself how far it goes. #}
{% set is_parted = "loads.source || '.' || loads.table_name in ('" ~ partitioned_tables() | join("', '") ~ "')" %}

with published as (

    select * from {{ converge.state_table('published') }}

),

loaded as (

    -- Of a table that is read in full or by its change log the last load alone says how far: it has no interval.
    select
        published.group_name,
        loads.source,
        loads.table_name,
        case when {{ is_parted }} then loads.partition end as part,
        max(loads.interval_until) as read_until,
        max(loads.started_at) as read_at,
        max(case when loads.partition is null or {{ is_parted }} then loads.started_at end) as looked_at
    from published
    inner join {{ ref('stg_ledger__loads') }} as loads
        on published.bound >= loads.position
    where
        published.group_name = 'shop'
        and loads.kind != 'reconcile'
        and loads.source || '.' || loads.table_name in ('{{ sold_from | join("', '") }}')
    group by published.group_name, loads.source, loads.table_name, part

),

reached as (

    select
        group_name,
        coalesce(max(read_until), max(read_at)) as reached_at,
        {{ dbt.dateadd('day', -waits_days, 'max(read_at)') }} as read_since
    from loaded
    group by group_name

),

tables as (

    select
        loaded.*,
        greatest(
            loaded.read_until,
            case when loaded.looked_at is not null then least(loaded.looked_at, reached.reached_at) end
        ) as known_until,
        loaded.read_at >= reached.read_since as is_awaited,
        loaded.read_at >= {{ dbt.dateadd('day', -tells_days, 'reached.read_since') }} as is_told
    from loaded
    inner join reached
        on loaded.group_name = reached.group_name

),

known as (

    select
        group_name,
        cast({{ dbt.dateadd('day', -1, reporting_date('min(case when is_awaited then known_until end)')) }} as date) as last_whole_date,
        string_agg(
            case
                when not is_awaited and is_told
                    then
                        source || '.' || table_name || coalesce(' ' || part, '')
                        || ' after ' || cast({{ dbt.dateadd('day', -1, reporting_date('known_until')) }} as date)
            end,
            ', '
            order by source, table_name, part
        ) as behind
    from tables
    group by group_name

)

select
    published.group_name,
    published.bound as position,
    published.run_id,
    published.code_version,
    published.published_at,
    published.held_back,
    published.held_back_at,
    kept.published_at as changed_at,
    known.last_whole_date,
    cast(known.behind as varchar) as behind,
    cast('{{ var('reporting_time_zone') }}' as varchar) as reporting_time_zone
from published
left join {{ converge.state_table('publications') }} as kept
    on published.publication = kept.publication
left join known
    on published.group_name = known.group_name
