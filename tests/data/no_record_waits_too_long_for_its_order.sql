{{ config(severity='warn') }}
-- A line or payment may land before its order, and an order may be refused and corrected: for some days that is no fault.
-- One row per table: how many of its records wait too long. `quarantine.overdue_records` has each.
select
    source,
    table_name,
    count(*) as overdue_records,
    count(distinct order_id) as orders,
    min(waiting_since) as waiting_since,
    min(record_id) as example
from {{ ref('overdue_records') }}
where is_overdue
group by source, table_name
