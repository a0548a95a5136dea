create table if not exists {shop}.orders (
    order_id bigint primary key,
    customer_id bigint,
    status text,
    currency text,
    total_amount numeric(14, 2),
    discount_code text,
    placed_at timestamptz,
    approved_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    estimated_delivery_at timestamptz
);

create index if not exists orders_by_updated_at on {shop}.orders (updated_at);

-- Grain: one row per web order that changed in [previous, until), as the shop's database has it.
insert into {shop}.orders
select
    lives.number as order_id,
    lives.party as customer_id,
    case lives.order_fault when 'no_status' then null when 'unknown_status' then 'lost in transit' else lives.status end as status,
    case lives.order_fault
        when 'unknown_currency' then 'XXX'
        when 'untidy_currency' then lower(lives.currency) || ' '
        else lives.currency
    end as currency,
    case lives.order_fault
        when 'negative_total' then -pays.total_amount
        when 'absurd_total' then 1000000000
        else pays.total_amount
    end as total_amount,
    case when lives.discount_percent > 0 then 'SAVE' || lives.discount_percent end as discount_code,
    case lives.order_fault when 'far_future' then lives.placed_at + interval '73 years' else lives.placed_at end as placed_at,
    lives.approved_at,
    lives.shipped_at,
    lives.delivered_at,
    lives.created_at,
    lives.updated_at,
    lives.deleted_at,
    -- At the end of the 14th day after the order, later than most are delivered.
    date_trunc('day', lives.created_at) + interval '15 days' - interval '1 second' as estimated_delivery_at
from lives
inner join pays on lives.number = pays.number and pays.payment_number = 1
where lives.updated_at >= lives.new_from
on conflict (order_id) do update set
    customer_id = excluded.customer_id,
    status = excluded.status,
    currency = excluded.currency,
    total_amount = excluded.total_amount,
    placed_at = excluded.placed_at,
    approved_at = excluded.approved_at,
    shipped_at = excluded.shipped_at,
    delivered_at = excluded.delivered_at,
    updated_at = excluded.updated_at,
    deleted_at = excluded.deleted_at,
    estimated_delivery_at = excluded.estimated_delivery_at
