create table if not exists {shop}.customers (
    customer_id bigint primary key,
    email text,
    full_name text,
    address text,
    postal_code text,
    city text,
    region text,
    country text,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create index if not exists customers_by_updated_at on {shop}.customers (updated_at);

-- Grain: one row per customer who changed in [previous, until).
with recent as (

    -- Those young enough to be new, or to be put right.
    select
        days.first_customer + step.position as customer,
        days.day,
        demo.moment(
            days.day, (step.position + demo.chance(days.first_customer + step.position, 'registered')) / days.customers
        ) as created_at
    from demo.days
    cross join lateral generate_series(0, days.customers - 1) as step (position)
    where days.day >= {previous}::date - 7

),

visited as (

    -- Those older whose turn to change it is: every 180th.
    select
        turn.customer,
        birth.day,
        demo.moment(
            birth.day,
            (turn.customer - birth.first_customer + demo.chance(turn.customer, 'registered')) / birth.customers
        ) as created_at
    from demo.days
    cross join lateral generate_series(
        180 - days.index % 180,
        (select min(young.first_customer) - 1 from demo.days as young where young.day >= {previous}::date - 7),
        180
    ) as turn (customer)
    cross join lateral (
        select *
        from demo.days as earlier
        where earlier.first_customer <= turn.customer and earlier.customers > 0
        order by earlier.first_customer desc
        limit 1
    ) as birth
    where days.day >= {previous}::date and days.index >= 0

),

born as materialized (

    -- Played on by more than 180 days, a customer's turn comes more than once.
    select * from recent
    union
    select * from visited

),

lived as materialized (

    select
        born.*,
        demo.customer_version(customer, {last_index}) as version,
        ({last_index} - ({last_index} + customer % 180) % 180)::integer as turn_index,
        demo.fault(customer, 'customer', 'no_email bad_email unknown_country no_country future_birth') as fault
    from born

),

dated as materialized (

    select
        lived.*,
        case when {start} + turn_index > day
            then demo.moment({start} + turn_index, demo.chance(customer * 64 + version, 'turn'))
        end as turned_at,
        demo.seen(case when fault is not null then demo.fixed_at(customer, 'customer', created_at) end, {until}) as fixed_at
    from lived

),

known as materialized (

    select
        customer,
        version,
        (version + (customer + 1) % 2) / 2 as address_version,
        demo.customer_country(customer, version) as country,
        created_at,
        greatest(created_at, turned_at, fixed_at) as updated_at,
        case when fixed_at is null then fault end as fault
    from dated
    where greatest(created_at, turned_at, fixed_at) >= {previous}

)

insert into {shop}.customers
select
    known.customer as customer_id,
    case known.fault
        when 'no_email' then null
        when 'bad_email' then 'customer' || known.customer || ' at example'
        else 'customer' || known.customer || '.' || (known.version + known.customer % 2) / 2 || '@example.com'
    end as email,
    demo.full_name(known.customer) as full_name,
    1 + floor(200 * demo.chance(known.customer * 64 + known.address_version, 'house')) || ' '
    || demo.pick(
        demo.chance(known.customer * 64 + known.address_version, 'street'),
        'High Station Market Church Mill River Park Lake Garden North'
    ) || ' Street' as address,
    places.postal_code
    || lpad(floor(100 * demo.chance(known.customer * 64 + known.address_version, 'postal code'))::text, 2, '0')
        as postal_code,
    places.city,
    places.region,
    case known.fault
        when 'unknown_country' then 'XX'
        when 'no_country' then null
        else known.country
    end as country,
    case when known.fault = 'future_birth' then known.created_at + interval '73 years' else known.created_at end
        as created_at,
    known.updated_at
from known
inner join demo.places
    on known.country = places.country
    and floor(3 * demo.chance(known.customer * 64 + known.address_version, 'place')) = places.place
on conflict (customer_id) do update set
    email = excluded.email,
    address = excluded.address,
    postal_code = excluded.postal_code,
    city = excluded.city,
    region = excluded.region,
    country = excluded.country,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at
