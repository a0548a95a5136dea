-- Grain: one row per web order of the last day that goes out with a negative total, until the shop plays on.
with of_the_day as (

    select
        order_id,
        row_number() over (order by demo.chance(order_id, 'spoiled'), order_id) as place,
        count(*) over () as orders
    from {shop}.orders
    where updated_at >= {last_day}::date and total_amount > 0

),

spoiled as (

    insert into demo.spoiled
    select order_id
    from of_the_day
    where place <= round({bad_orders} * orders)
    returning order_id

)

update {shop}.orders set total_amount = -total_amount
from spoiled
where orders.order_id = spoiled.order_id
