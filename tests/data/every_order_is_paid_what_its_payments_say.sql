-- Fails with each order whose paid or refunded amount is not that of its payments.
with found as (

    select * from {{ converge.tested(ref('fct_payments'), 'order_id', changed=ref('fct_orders')) }} as changed

),

refunded as (

    select refunds_payment_id as payment_id from found
    where
        is_refund
        and refunds_payment_id is not null
    union all
    -- A refund that names none is of the order's only payment.
    select min(case when not is_refund then payment_id end) as payment_id from found
    where status in ('captured', 'refunded')
    group by order_id
    having
        sum(case when is_refund and refunds_payment_id is null then 1 else 0 end) > 0
        and sum(case when is_refund then 0 else 1 end) = 1

),

payments as (

    select
        order_id,
        sum(case when status in ('captured', 'refunded') and not is_refund then amount_usd end) as paid_usd,
        sum(case when status in ('captured', 'refunded') and not is_refund then amount_in_order_currency end) as paid_amount,
        sum(
            case
                when status = 'refunded' and (is_refund or payment_id not in (select payment_id from refunded)) then amount_usd
            end
        ) as refunded_usd,
        sum(
            case
                when
                    status = 'refunded' and (is_refund or payment_id not in (select payment_id from refunded))
                    then amount_in_order_currency
            end
        ) as refunded_amount
    from found
    group by order_id

),

orders as (

    select * from {{ converge.tested(ref('fct_orders'), 'order_id') }} as changed

)

select
    orders.order_id,
    orders.paid_usd,
    payments.paid_usd as paid_usd_found,
    orders.refunded_usd,
    payments.refunded_usd as refunded_usd_found,
    orders.paid_amount,
    payments.paid_amount as paid_amount_found,
    orders.refunded_amount,
    payments.refunded_amount as refunded_amount_found
from orders
left join payments
    on orders.order_id = payments.order_id
where
    orders.paid_usd != coalesce(payments.paid_usd, 0)
    or orders.refunded_usd != coalesce(payments.refunded_usd, 0)
    or orders.paid_amount != coalesce(payments.paid_amount, 0)
    or orders.refunded_amount != coalesce(payments.refunded_amount, 0)
