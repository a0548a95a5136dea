create table if not exists {shop}.payments (
    payment_id bigint primary key,
    order_id bigint,
    method text,
    installments integer,
    amount numeric(14, 2),
    currency text,
    status text,
    paid_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    payment_sequence integer
);

create index if not exists payments_by_updated_at on {shop}.payments (updated_at);

-- Grain: one row per payment of a web order that changed in [previous, until). What is wrong is wrong in the first one.
insert into {shop}.payments
with judged as (

    select
        pays.*,
        lives.currency,
        case when pays.payment_number = 1 then lives.payment_fault end as fault,
        lives.new_from,
        greatest(pays.updated_at, case when pays.payment_number = 1 then lives.payment_fixed_at end) as changed_at
    from pays
    inner join lives on pays.number = lives.number

)

select
    number * 10 + payment_number as payment_id,
    case fault when 'no_order' then null when 'unknown_order' then 900000000000 + number else number end as order_id,
    method,
    installments,
    case fault when 'negative_amount' then -amount when 'absurd_amount' then 1000000000 else amount end as amount,
    case fault when 'unknown_currency' then 'XXX' else currency end as currency,
    case fault when 'unknown_status' then 'in review' else status end as status,
    case fault when 'far_future' then created_at + interval '73 years' else paid_at end as paid_at,
    created_at,
    changed_at as updated_at,
    deleted_at,
    payment_number as payment_sequence
from judged
where changed_at >= new_from
on conflict (payment_id) do update set
    order_id = excluded.order_id,
    amount = excluded.amount,
    currency = excluded.currency,
    status = excluded.status,
    paid_at = excluded.paid_at,
    updated_at = excluded.updated_at,
    deleted_at = excluded.deleted_at,
    payment_sequence = excluded.payment_sequence
