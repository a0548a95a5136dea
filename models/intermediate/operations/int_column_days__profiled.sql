{#
    Grain: one row per table, column and day on which at least one accepted row changed.
    Distinct values cannot be added up over loads that overlap: of each partition, the load with most rows of the day
    counts. A table that is loaded once a day is measured whole; one that is loaded more often, by its largest load.
    A replay reads later versions of the day's rows: a load that read the day in time, and at least half of it, is preferred.
#}
{{ config(unique_key=['source', 'table_name', 'column_name', 'day']) }}

{% call converge.touched('source', 'table_name', 'day') %}
    select source, table_name, day from {{ converge.changes(ref('int_loads__profiled')) }} where column_name != '*'
{% endcall %}

with loads as (

    select * from {{ converge.touched_rows(ref('int_loads__profiled'), 'source', 'table_name', 'day') }} as touched
    where
        column_name != '*'
        and kind != 'reconcile'

),

measured as (

    select
        *,
        max(profiled_rows) over (partition by source, table_name, column_name, day, partition) as most_rows
    from loads

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, table_name, column_name, day, partition
            order by case when not is_read_late and 2 * profiled_rows >= most_rows then 0 else 1 end, profiled_rows desc, load_id desc
        ) as rank_in_day
    from measured

),

days as (

    select
        source,
        table_name,
        column_name,
        day,
        cast(sum(profiled_rows) as bigint) as profiled_rows,
        cast(sum(null_rows) as bigint) as null_rows,
        cast(sum(distinct_values) as bigint) as distinct_values,
        sum(value_sum) as value_sum,
        max(case when is_read_late then 1 else 0 end) = 1 as is_read_late
    from ranked
    where rank_in_day = 1
    group by source, table_name, column_name, day

)

select
    source,
    table_name,
    column_name,
    day,
    profiled_rows,
    cast(round(cast(null_rows as numeric) / profiled_rows, 6) as numeric(38, 6)) as null_share,
    distinct_values,
    cast(round(value_sum / nullif(profiled_rows - null_rows, 0), 6) as numeric(38, 6)) as average,
    is_read_late
from days
