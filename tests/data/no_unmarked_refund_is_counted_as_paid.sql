{{ config(severity='warn') }}
-- Warns of each order whose captured payments alone pay for it, and that has a refunded payment which doesn't say what it
-- refunds: it counts as paid and refunded in full. A partial refund needs `refunds_payment_id` or an amount below zero.
with payments as (

    select
        order_id,
        currency,
        sum(case when status = 'captured' then amount else 0 end) as captured_amount,
        sum(case when status = 'refunded' and not is_refund then amount else 0 end) as refunded_amount
    from {{ converge.tested(ref('fct_payments'), 'order_id', changed=ref('fct_orders')) }} as changed
    group by order_id, currency

)

select
    orders.order_id,
    orders.currency,
    orders.total_amount,
    payments.captured_amount,
    payments.refunded_amount
from {{ converge.tested(ref('fct_orders'), 'order_id') }} as orders
inner join payments
    on
        orders.order_id = payments.order_id
        and orders.currency = payments.currency
where
    payments.refunded_amount > 0
    and payments.captured_amount > 0
    and payments.captured_amount >= orders.total_amount
