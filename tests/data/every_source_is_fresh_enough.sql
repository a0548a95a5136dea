-- Fails with each table that is so far behind that what is built on it misleads, see seeds/freshness_limits.csv.
{{ config(severity='error') }}

select
    source,
    table_name,
    newest_change_at,
    reached_at,
    hours_behind,
    error_hours
from {{ ref('source_freshness') }}
where verdict = 'error'
