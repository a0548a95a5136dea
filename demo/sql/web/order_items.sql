create table if not exists {shop}.order_items (
    order_id bigint,
    line_number integer,
    product_id text,
    quantity integer,
    unit_price numeric(14, 2),
    discount_amount numeric(14, 2),
    freight_amount numeric(14, 2),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    seller_id text,
    ship_by_at timestamptz,
    primary key (order_id, line_number)
);

create index if not exists order_items_by_updated_at on {shop}.order_items (updated_at);

-- Grain: one row per line of a web order that changed in [previous, until). What is wrong is wrong in the first line.
insert into {shop}.order_items
with judged as (

    select
        lines.*,
        case when lines.line_number = 1 then lives.item_fault end as fault,
        lives.new_from,
        greatest(lines.updated_at, case when lines.line_number = 1 then lives.item_fixed_at end) as changed_at
    from lines
    inner join lives on lines.number = lives.number

)

select
    number as order_id,
    line_number,
    case fault
        when 'no_product' then null
        when 'malformed_product' then 'P ' || product || '/3'
        when 'unknown_product' then 'P-999999'
        else demo.product_id(product)
    end as product_id,
    case fault when 'zero_quantity' then 0 when 'absurd_quantity' then 10000000 else quantity end as quantity,
    case fault when 'negative_price' then -unit_price when 'absurd_price' then 1000000000 else unit_price end as unit_price,
    case fault when 'absurd_discount' then 1000000000 else discount_amount end as discount_amount,
    freight_amount,
    created_at,
    changed_at as updated_at,
    deleted_at,
    -- A product has one seller.
    'S-' || lpad((product % 25)::text, 2, '0') as seller_id,
    date_trunc('day', created_at) + interval '5 days' - interval '1 second' as ship_by_at
from judged
where changed_at >= new_from
on conflict (order_id, line_number) do update set
    product_id = excluded.product_id,
    quantity = excluded.quantity,
    unit_price = excluded.unit_price,
    discount_amount = excluded.discount_amount,
    updated_at = excluded.updated_at,
    deleted_at = excluded.deleted_at,
    seller_id = excluded.seller_id,
    ship_by_at = excluded.ship_by_at
