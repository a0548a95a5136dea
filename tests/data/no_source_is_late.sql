-- Warns of each table that has had nothing new for longer than its limit, see freshness_limits.
{{ config(severity='warn') }}

select
    source,
    table_name,
    newest_change_at,
    reached_at,
    hours_behind,
    hours_silent,
    longest_gap_hours,
    warn_hours,
    words
from {{ ref('source_freshness') }}
where verdict = 'warn'
