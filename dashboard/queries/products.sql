-- Sales by product: lines after discount, with freight, less what credit notes took back; cancelled orders are not
-- counted. Named are the products that sold most in the last 28 days, those that sold most in the last 52 weeks,
-- and those whose sales fell most against the 28 days before. The others are one row.
with orders as (

    select
        order_id,
        order_date,
        channel,
        region,
        discount_tier
    from core.fct_orders
    where
        order_date between %(first)s and %(last)s
        and not is_cancelled

),

totals as (

    select
        product_id,
        coalesce(sum(total_usd) filter (where order_date > cast(%(last)s as date) - 28), 0) as recent_usd,
        coalesce(sum(total_usd) filter (where order_date <= cast(%(last)s as date) - 28 and order_date > cast(%(last)s as date) - 56), 0) as before_usd,
        coalesce(sum(total_usd), 0) as year_usd
    from core.fct_order_items
    inner join orders using (order_id, order_date)
    where
        order_date > cast(%(last)s as date) - 364
        and product_id is not null
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

),

named as (

    select
        ranked.product_id,
        coalesce(dim_products.name, ranked.product_id) || ' (' || ranked.product_id || ')' as name
    from ranked
    left join core.dim_products using (product_id)
    where place <= %(most)s

)

select
    case when channel = any(%(channels)s) then channel else 'others' end as channel,
    region,
    coalesce(discount_tier, 'unknown') as tier,
    coalesce(named.name, 'all others') as product,
    width_bucket(order_date, cast(%(windows)s as date[])) as slot,
    cast(sum(quantity) as bigint) as items,
    cast(100 * coalesce(sum(total_usd), 0) as bigint) as sales_cents
from core.fct_order_items
inner join orders using (order_id, order_date, channel)
left join named using (product_id)
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
