-- The quality score of a table and day, 0 to 100: the share of its landed rows that count in the marts, less points for a
-- volume or a column out of line, or for lateness (docs/quality.md). At most 91 days. A table is judged whole: channel and
-- source choose tables, region and tier do not. Its days are those of UTC.
select
    source,
    table_name,
    score,
    day
from operations.data_quality_daily
where
    volume_verdict != 'incomplete'
    and day between cast(%(last)s as date) - 90 and %(last)s
order by source, table_name, day
