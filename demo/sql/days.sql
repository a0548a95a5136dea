-- Grain: one row per day that is new to the shop. A week has its shape, a day its luck.
insert into demo.days
with new_days as (

    select
        day::date as day,
        (day::date - {start})::integer as index
    from generate_series(
        coalesce((select max(days.day) + 1 from demo.days), {start} - 1)::timestamp, {last_day}::timestamp, interval '1 day'
    ) as day

),

busy as (

    select
        day,
        index,
        case when index < 0 then 0 else {size} end
        * (array[0.95, 0.92, 0.94, 0.98, 1.10, 1.15, 0.96])[extract(isodow from day)::integer]
        * (0.96 + 0.08 * demo.chance(index, 'day'))::numeric as pace
    from new_days

),

counted as (

    select
        day,
        index,
        round(1300 * pace)::bigint as web,
        round(450 * pace)::bigint as marketplace,
        round(250 * pace)::bigint as store,
        case when index < 0 then greatest(20, round(3000 * {size})) else round(400 * pace) end::bigint as customers
    from busy

),

before as (

    select
        coalesce(max(first_customer + customers), 1) as customers,
        coalesce(max(first_web + web), 1) as web,
        coalesce(max(first_marketplace + marketplace), 1) as marketplace,
        coalesce(max(first_store + store), 1) as store
    from demo.days

)

select
    counted.day,
    counted.index,
    {products} + {growth} * greatest(counted.index, 0) as products,
    before.customers + sum(counted.customers) over so_far - counted.customers as first_customer,
    counted.customers,
    before.web + sum(counted.web) over so_far - counted.web as first_web,
    counted.web,
    before.marketplace + sum(counted.marketplace) over so_far - counted.marketplace as first_marketplace,
    counted.marketplace,
    before.store + sum(counted.store) over so_far - counted.store as first_store,
    counted.store
from counted
cross join before
window so_far as (order by counted.day)
