-- Warns of each column that, on the last complete day of its table, was an outlier against the 28 days before.
{{ config(severity='warn') }}

with last_days as (

    {{ last_profiled_days() | indent }}

)

select
    statistics.source,
    statistics.table_name,
    statistics.column_name,
    statistics.day,
    statistics.statistic,
    statistics.value,
    statistics.expected,
    statistics.stddev,
    statistics.z_score
from {{ ref('column_statistics_daily') }} as statistics
inner join last_days
    on
        statistics.source = last_days.source
        and statistics.table_name = last_days.table_name
        and statistics.day = last_days.day
where statistics.verdict = 'warn'
