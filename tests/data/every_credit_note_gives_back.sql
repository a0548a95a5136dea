{{ config(severity='warn') }}
-- Warns of each credit note with a total above zero: goods that are taken back must be on lines with a quantity below zero.
select
    order_id,
    credited_order_id,
    status,
    currency,
    total_amount
from {{ converge.tested(ref('fct_orders'), 'order_id') }} as changed
where
    is_credit_note
    and is_counted
    and total_amount > 0
