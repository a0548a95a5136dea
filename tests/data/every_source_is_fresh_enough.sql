-- Fails with each table that was read and has had nothing new for longer than its error limit, see freshness_limits.
{{ config(severity='error') }}

select
    source,
    table_name,
    newest_change_at,
    reached_at,
    hours_behind,
    hours_silent,
    longest_gap_hours,
    error_hours,
    words
from {{ ref('source_freshness') }}
where verdict = 'error'
