-- Grain: one row per line of the orders in `lives`, as they truly are by `until`.
create temporary table lines on commit drop as
with numbered as materialized (

    select
        lives.number,
        lives.key * 8 + step.line_number as key,
        step.line_number,
        lives.day_index,
        lives.products,
        lives.currency,
        lives.per_dollar,
        case when step.line_number = 1 or demo.chance(lives.key * 8 + step.line_number, 'discounted') < 0.8
            then lives.discount_percent else 0 end as discount_percent,
        (lives.amendment = 'more' and step.line_number = 1) is true as is_more,
        case when step.line_number > lives.lines then lives.amended_at else lives.created_at end as created_at,
        lives.amended_at,
        (lives.amendment = 'less' and step.line_number = lives.lines and lives.lines > 1) is true as is_dropped,
        lives.deleted_at as order_deleted_at
    from lives
    cross join lateral generate_series(1, lives.lines + (lives.amendment is not distinct from 'new')::integer)
        as step (line_number)

),

picked as materialized (

    select
        numbered.*,
        demo.product_sold(key, products) as wanted,
        1 + floor(4 * demo.chance(key, 'quantity') ^ 4)::integer + is_more::integer as quantity
    from numbered

),

found as materialized (

    select
        picked.*,
        demo.still_sold(wanted, day_index) as product
    from picked

),

priced as materialized (

    select
        found.*,
        demo.money(demo.price(product, day_index) * per_dollar, currency) as unit_price
    from found

)

select
    number,
    line_number,
    product,
    quantity,
    unit_price,
    demo.money(quantity * unit_price * discount_percent / 100, currency) as discount_amount,
    demo.money((3 + 12 * demo.chance(key, 'freight'))::numeric * per_dollar, currency) as freight_amount,
    is_dropped,
    created_at,
    greatest(created_at, case when is_more or is_dropped then amended_at end, order_deleted_at) as updated_at,
    case when is_dropped then amended_at else order_deleted_at end as deleted_at
from priced
