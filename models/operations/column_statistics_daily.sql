{#
    Grain: one row per table, column, day and statistic, beside the same statistic in the 28 days before.
    A day that was read late has other rows than one that was read in time: it is neither judged nor compared with.
    When a day lands late, it is compared again, and so are the 28 days after it.
#}
{{ config(unique_key=['source', 'table_name', 'column_name', 'day', 'statistic']) }}

{% call converge.touched('source', 'table_name', 'day') %}
    select source, table_name, day from {{ converge.changes(ref('int_column_days__profiled')) }}
    union all
    select later.source, later.table_name, later.day
    from {{ converge.changes(ref('int_column_days__profiled')) }} as changed
    inner join {{ ref('int_column_days__profiled') }} as later
        on
            changed.source = later.source
            and changed.table_name = later.table_name
            and changed.column_name = later.column_name
            and changed.day < later.day
            and {{ dbt.dateadd('day', 28, 'changed.day') }} >= later.day
{% endcall %}

with days as (

    select * from {{ converge.touched_rows(ref('int_column_days__profiled'), 'source', 'table_name', 'day') }} as touched

),

compared as (

    select
        days.source,
        days.table_name,
        days.column_name,
        days.day,
        days.profiled_rows,
        days.null_share,
        days.distinct_values,
        days.average,
        days.is_read_late,
        count(past.null_share) as null_share_days,
        avg(past.null_share) as null_share_expected,
        stddev_samp(past.null_share) as null_share_stddev,
        count(past.distinct_values) as distinct_values_days,
        avg(past.distinct_values) as distinct_values_expected,
        stddev_samp(past.distinct_values) as distinct_values_stddev,
        count(past.average) as average_days,
        avg(past.average) as average_expected,
        stddev_samp(past.average) as average_stddev
    from days
    left join {{ ref('int_column_days__profiled') }} as past
        on
            days.source = past.source
            and days.table_name = past.table_name
            and days.column_name = past.column_name
            and days.day > past.day
            and {{ dbt.dateadd('day', -28, 'days.day') }} <= past.day
            and not past.is_read_late
    group by
        days.source,
        days.table_name,
        days.column_name,
        days.day,
        days.profiled_rows,
        days.null_share,
        days.distinct_values,
        days.average,
        days.is_read_late

),

statistics as (

    {% for statistic in ['null_share', 'distinct_values', 'average'] %}
    select
        source,
        table_name,
        column_name,
        day,
        '{{ statistic }}' as statistic,
        is_read_late,
        cast({{ statistic }} as numeric(38, 6)) as value,
        {{ statistic }}_days as known_days,
        cast(round({{ statistic }}_expected, 6) as numeric(38, 6)) as expected,
        cast(round({{ statistic }}_stddev, 6) as numeric(38, 6)) as stddev,
        -- A share of nulls is exact to one row only: up to three more nulls than before are no outlier.
        cast(round(
            {{ 'greatest(null_share_stddev, 1.0 / profiled_rows)' if statistic == 'null_share' else statistic ~ '_stddev' }}, 6
        ) as numeric(38, 6)) as spread
    from compared
    where {{ statistic }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

scored as (

    select
        *,
        case when known_days >= 7 then cast(round((value - expected) / nullif(spread, 0), 2) as numeric(38, 2)) end as z_score
    from statistics

)

select
    source,
    table_name,
    column_name,
    day,
    cast(statistic as varchar) as statistic,
    value,
    known_days,
    expected,
    stddev,
    z_score,
    cast(case
        when is_read_late then 'read_late'
        when known_days < 7 then 'no_history'
        -- A statistic that never varied has no z-score: any other value is an outlier.
        when spread = 0 and value != expected then 'warn'
        when abs(z_score) > 3 then 'warn'
        else 'ok'
    end as varchar) as verdict
from scored
