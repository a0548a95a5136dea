-- How far a table is behind its source, and whether that is more than its declaration allows (docs/quality.md).
select
    source,
    table_name,
    verdict,
    coalesce(hours_behind, 0) as hours_behind,
    newest_change_at
from operations.source_freshness
order by source, table_name
