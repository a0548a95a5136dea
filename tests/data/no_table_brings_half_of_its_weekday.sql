-- Warns of each table whose last complete day has less than half of the rows of the same weekdays before.
{{ config(severity='warn') }}

with judged as (

    select
        *,
        row_number() over (partition by source, table_name order by day desc) as days_ago
    from {{ ref('table_volumes_daily') }}
    where verdict not in ('incomplete', 'not_judged')

)

select
    source,
    table_name,
    day,
    landed_rows,
    expected_rows,
    share_of_expected
from judged
where
    days_ago = 1
    and verdict = 'warn'
