{#
    Grain: one row per table and day on which at least one row changed.
    Overlaps, replays and backfills land rows again: of each hour and partition, the load with most rows counts.
    The differences of a table that is read in full land once: all its loads count.
    What reconciliation lands are changes of other days, and counts in none.
#}
{{ config(unique_key=['source', 'table_name', 'day']) }}

{% call converge.touched('source', 'table_name', 'day') %}
    select source, table_name, day from {{ converge.changes(ref('int_loads__profiled')) }} where column_name = '*'
{% endcall %}

with hours as (

    select * from {{ converge.touched_rows(ref('int_loads__profiled'), 'source', 'table_name', 'day') }} as touched
    where
        column_name = '*'
        and kind != 'reconcile'

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, table_name, changed_hour, partition, case when kind in ('full', 'change_log') then load_id end
            order by judged_rows desc, load_id desc
        ) as rank_in_hour,
        -- A replay of an hour that was read in time does not make it late.
        min(case when is_read_late then 1 else 0 end) over (partition by source, table_name, changed_hour, partition) as is_late
    from hours

)

select
    source,
    table_name,
    day,
    max(kind) as kind,
    cast(sum(judged_rows) as bigint) as landed_rows,
    cast(sum(accepted_rows) as bigint) as accepted_rows,
    cast(sum(refused_rows) as bigint) as refused_rows,
    cast(sum(warned_rows) as bigint) as warned_rows,
    max(newest_change_at) as newest_change_at,
    max(covered_until) as covered_until,
    -- The day was read late if most of its rows were.
    2 * sum(is_late * judged_rows) > sum(judged_rows) as is_read_late
from ranked
where rank_in_hour = 1
group by source, table_name, day
