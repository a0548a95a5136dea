{{ config(severity='warn') }}
-- A payment may land before its order, and an order may be refused and corrected: for some days that is no fault.
select
    payment_id,
    order_id,
    status,
    amount,
    currency,
    waiting_since,
    due_at,
    as_of_at
from {{ ref('overdue_payments') }}
where is_overdue
