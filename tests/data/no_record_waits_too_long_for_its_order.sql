{{ config(severity='warn') }}
-- A line or payment may land before its order, and an order may be refused and corrected: for some days that is normal.
select
    record_id,
    order_id,
    waiting_since,
    due_at,
    as_of_at
from {{ ref('waiting_ages') }}
where is_overdue
