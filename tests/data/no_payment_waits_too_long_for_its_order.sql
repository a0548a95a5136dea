{{ config(severity='warn') }}
-- A payment may land before its order, and an order may be refused and corrected: for some days that is no fault.
select * from {{ ref('overdue_payments') }}
where is_overdue
