-- The words that reviews use most, of those that seeds/sentiment_words.csv knows, good ones and bad ones: in how many
-- reviews each stands, once a review, whatever stands before it ("not good" has a good word). Accents make no difference.
-- Channel, source, region and tier are those of the reviewed order.
with listed as (

    select
        lower(regexp_replace(normalize(word, nfd), '[\u0300-\u036f]', '', 'g')) as word,
        max(weight) > 0 as is_good
    from unnest(cast(%(words)s as text[]), cast(%(weights)s as integer[])) as words (word, weight)
    group by 1

),

said as (

    select distinct
        reviews.order_id,
        reviews.review_id,
        reviews.review_date,
        listed.word,
        listed.is_good
    from core.fct_reviews as reviews
    cross join
        lateral unnest(
            regexp_split_to_array(lower(regexp_replace(normalize(concat_ws(' ', title, review_text), nfd), '[\u0300-\u036f]', '', 'g')), '[^[:alnum:]]+')
        ) as spoken (word)
    inner join listed
        on spoken.word = listed.word
    where reviews.review_date between %(first)s and %(last)s

),

ranked as (

    select
        word,
        row_number() over (partition by is_good order by count(*) desc, word asc) as place
    from said
    group by word, is_good

)

select
    case when channel is null then 'no order' when channel = any(%(channels)s) then channel else 'others' end as channel,
    coalesce(region, 'no order') as region,
    coalesce(discount_tier, 'no order') as tier,
    said.word,
    said.is_good,
    width_bucket(review_date, cast(%(windows)s as date[])) as slot,
    count(*) as reviews
from said
inner join ranked
    on said.word = ranked.word
left join core.fct_orders
    on said.order_id = fct_orders.order_id
where ranked.place <= %(most)s
group by 1, 2, 3, 4, 5, 6
order by 1, 2, 3, 4, 5, 6
