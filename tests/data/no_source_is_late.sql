-- Warns of each table whose newest change lies further behind than it may, see seeds/freshness_limits.csv.
{{ config(severity='warn') }}

select
    source,
    table_name,
    newest_change_at,
    reached_at,
    hours_behind,
    warn_hours
from {{ ref('source_freshness') }}
where verdict = 'warn'
