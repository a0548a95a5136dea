-- Reviews count on the day on which they were written. What a text says is read from its words: positive, neutral or
-- negative. Channel, source, region and tier are those of the reviewed order; a review that names no known order has none.
select
    case when channel is null then 'no order' when channel = any(%(channels)s) then channel else 'others' end as channel,
    coalesce(region, 'no order') as region,
    coalesce(discount_tier, 'no order') as tier,
    rating,
    width_bucket(review_date, cast(%(windows)s as date[])) as slot,
    count(*) as reviews,
    count(*) filter (where sentiment = 'positive') as positive,
    count(*) filter (where sentiment = 'neutral') as neutral,
    count(*) filter (where sentiment = 'negative') as negative
from core.fct_reviews
left join core.fct_orders using (order_id)
where review_date between %(first)s and %(last)s
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
