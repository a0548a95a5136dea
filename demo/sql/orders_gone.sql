-- Some canceled orders are deleted outright, with their lines and payments: only a reader of whole tables notices.
with gone as materialized (

    select days.first_web + step.position as number
    from demo.days
    cross join lateral generate_series(0, days.web - 1) as step (position)
    -- Within 20 days of its creation.
    where days.day >= {previous}::date - 20
        and demo.order_gone(3 * (days.first_web + step.position), days.day) between {previous}::date and {last_day}

),

lines_gone as (

    delete from {shop}.order_items
    using gone
    where order_items.order_id = gone.number

),

payments_gone as (

    delete from {shop}.payments
    using gone
    where payments.payment_id between gone.number * 10 and gone.number * 10 + 9

)

delete from {shop}.orders
using gone
where orders.order_id = gone.number
