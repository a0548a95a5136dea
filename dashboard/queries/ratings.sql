-- Products whose rating dropped, as feedback.product_ratings says: the average of their last 30 days is at least half a
-- star below that of the 30 days before, with five reviews or more in each. Shown is their average in the chosen period,
-- and in the same days before. Those that fell most are named.
with dropped as (

    select
        product_id,
        coalesce(name || ' (' || product_id || ')', product_id) as name,
        rating_change
    from feedback.product_ratings
    left join core.dim_products using (product_id)
    where has_dropped
    order by rating_change, product_id
    limit %(most)s

)

select
    case when channel is null then 'no order' when channel = any(%(channels)s) then channel else 'others' end as channel,
    coalesce(region, 'no order') as region,
    coalesce(discount_tier, 'no order') as tier,
    dropped.name as product,
    width_bucket(review_date, cast(%(windows)s as date[])) as slot,
    count(*) as reviews,
    sum(rating) as rating_sum
from core.fct_reviews
inner join dropped
    on fct_reviews.product_id = dropped.product_id
left join core.fct_orders using (order_id)
where review_date between %(first)s and %(last)s
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
