create table if not exists {shop}.products (
    product_id text primary key,
    name text,
    category text,
    price numeric(14, 2),
    currency text,
    is_active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    weight_g integer,
    length_cm integer,
    height_cm integer,
    width_cm integer
);

create index if not exists products_by_updated_at on {shop}.products (updated_at);

-- Grain: one row per product that changed in [previous, until).
with born as materialized (

    select
        product,
        demo.product_born(product) as born_index,
        demo.price_version(product, {last_index}) as version,
        demo.moment({start} + demo.product_born(product), demo.chance(product, 'born')) as created_at,
        -- The last day on which the price list was renewed for this product.
        ({last_index} - ({last_index} + product % 45) % 45)::integer as renewed_index,
        demo.fault(product, 'product', 'negative_price absurd_price unknown_currency no_name') as fault
    from generate_series(1, (select max(products) from demo.days)) as product
    where demo.product_gone(product) is null or demo.product_gone(product) > {last_index}

),

lived as materialized (

    select
        born.*,
        case when renewed_index > born_index
            then ({start} + renewed_index)::timestamptz + interval '1 second' * (product % 3600)
        end as renewed_at,
        demo.seen(case when fault is not null then demo.fixed_at(product, 'product', created_at) end, {until}) as fixed_at,
        demo.pick(demo.chance(product, 'price list'), 'USD USD USD USD USD USD USD EUR EUR GBP') as currency
    from born

),

listed as materialized (

    select
        product,
        version,
        created_at,
        currency,
        greatest(created_at, renewed_at, fixed_at) as updated_at,
        demo.money(demo.price(product, {last_index}) * demo.per_dollar(currency), currency) as price,
        case when fixed_at is null then fault end as fault
    from lived

)

insert into {shop}.products
select
    demo.product_id(product) as product_id,
    case when fault is distinct from 'no_name' then
        demo.pick(demo.chance(product, 'look'), 'Red Blue Green Oak Steel Soft Small Large Classic Light Smart Folding')
        || ' ' ||
        demo.pick(demo.chance(product, 'thing'), 'Lamp Chair Kettle Blanket Backpack Clock Vase Bottle Speaker Jacket Puzzle')
        || ' ' || product
    end as name,
    case when demo.chance(product, 'category known') < 0.97 then
        demo.pick(demo.chance(product, 'category'), 'home kitchen garden toys fashion electronics sports books')
    end as category,
    case fault when 'negative_price' then -price when 'absurd_price' then 1000000000 else price end as price,
    case fault when 'unknown_currency' then 'XXX' else currency end as currency,
    demo.chance(product * 1000 + version, 'active') < 0.97 as is_active,
    created_at,
    updated_at,
    50 + product * 137 % 9950 as weight_g,
    10 + product * 7 % 90 as length_cm,
    5 + product * 11 % 55 as height_cm,
    5 + product * 13 % 65 as width_cm
from listed
where updated_at >= {previous}
on conflict (product_id) do update set
    name = excluded.name,
    price = excluded.price,
    currency = excluded.currency,
    is_active = excluded.is_active,
    updated_at = excluded.updated_at,
    weight_g = excluded.weight_g,
    length_cm = excluded.length_cm,
    height_cm = excluded.height_cm,
    width_cm = excluded.width_cm
