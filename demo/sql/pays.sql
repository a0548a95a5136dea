-- Grain: one row per payment of the orders in `lives`, as they truly are by `until`. The third of an order is an
-- attempt that failed, the fourth a double charge that is taken back when the order is approved.
create temporary table pays on commit drop as
with totals as (

    select
        number,
        sum(quantity * unit_price - discount_amount + freight_amount) as amount
    from lines
    where not is_dropped
    group by number

),

split as materialized (

    select
        lives.*,
        totals.amount as total_amount,
        case when demo.chance(lives.key, 'voucher') < 0.12
            then demo.money(totals.amount * 0.3, lives.currency) else 0 end as voucher_amount,
        demo.chance(lives.key, 'failed payment') < 0.03 as has_failed_attempt,
        demo.chance(lives.key, 'double payment') < 0.004 as has_double_charge,
        case
            when lives.country = 'BR'
                then demo.pick(demo.chance(lives.key, 'method'), 'credit_card credit_card credit_card boleto debit_card')
            else demo.pick(demo.chance(lives.key, 'method'), 'credit_card credit_card credit_card debit_card paypal')
        end as method
    from lives
    inner join totals on lives.number = totals.number

)

select
    split.number,
    kind.payment_number,
    split.total_amount,
    case kind.payment_number when 2 then 'voucher' else split.method end as method,
    case when kind.payment_number <> 2 and split.method = 'credit_card'
        then demo.pick(demo.chance(split.key, 'installments'), '1 1 1 1 1 2 3 4 6 10')::integer else 1
    end as installments,
    case kind.payment_number
        when 2 then split.voucher_amount when 3 then split.total_amount else split.total_amount - split.voucher_amount
    end as amount,
    case
        when kind.payment_number = 3 then 'failed'
        when split.refunded_at is not null then 'refunded'
        when split.approved_at is not null then 'captured'
        when split.stopped_at is not null then 'failed'
        else 'authorized'
    end as status,
    case when kind.payment_number <> 3 then split.approved_at end as paid_at,
    split.created_at,
    greatest(
        split.created_at,
        split.amended_at,
        split.deleted_at,
        case when kind.payment_number <> 3
            then greatest(split.approved_at, split.refunded_at, case when split.approved_at is null then split.stopped_at end)
        end
    ) as updated_at,
    least(split.deleted_at, case when kind.payment_number = 4 then split.approved_at end) as deleted_at
from split
inner join (values (1), (2), (3), (4)) as kind (payment_number)
    on kind.payment_number = 1
    or (kind.payment_number = 2 and split.voucher_amount > 0)
    or (kind.payment_number = 3 and split.has_failed_attempt)
    or (kind.payment_number = 4 and split.has_double_charge)
