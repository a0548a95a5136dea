-- Sales by product: lines after discount, with freight, less what credit notes took back; cancelled orders are not
-- counted. Named are the products with most sales in the last 28 days, those with most in the last 52 weeks, and those
-- whose sales fell most against the 28 days before; of these, cancelled orders are not told apart. All others are what
-- is left of the sales.
with totals as (

    select
        product_id,
        coalesce(sum(total_usd) filter (where order_date > cast(%(last)s as date) - 28), 0) as recent_usd,
        coalesce(sum(total_usd) filter (where order_date <= cast(%(last)s as date) - 28 and order_date > cast(%(last)s as date) - 56), 0) as before_usd,
        coalesce(sum(total_usd), 0) as year_usd
    from core.fct_order_items
    where order_date between cast(%(last)s as date) - 363 and %(last)s
    group by product_id

),

ranked as (

    select
        product_id,
        least(
            row_number() over (order by recent_usd desc, product_id asc),
            row_number() over (order by year_usd desc, product_id asc),
            row_number() over (order by recent_usd - before_usd, product_id)
        ) as place
    from totals

)

select
    case when orders.channel = any(%(channels)s) then orders.channel else 'others' end as channel,
    orders.region,
    orders.discount_tier as tier,
    coalesce(dim_products.name || ' (' || ranked.product_id || ')', ranked.product_id) as product,
    width_bucket(orders.order_date, cast(%(windows)s as date[])) as slot,
    cast(sum(lines.quantity) as bigint) as items,
    cast(100 * coalesce(sum(lines.total_usd), 0) as bigint) as sales_cents
from ranked
inner join core.fct_order_items as lines
    on ranked.product_id = lines.product_id
inner join core.fct_orders as orders
    on lines.order_id = orders.order_id
left join core.dim_products
    on ranked.product_id = dim_products.product_id
where
    ranked.place <= %(most)s
    and orders.order_date between %(first)s and %(last)s
    and orders.is_counted
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
