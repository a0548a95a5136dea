{#
    Grain: one row per product that was reviewed.
    A view: its 30 days move every day for every product, and a day must cost what changed. It is as of the last day with reviews.
#}
{{ config(materialized='view') }}

with products as (

    select * from {{ ref('int_products__rated') }}

),

days as (

    select * from {{ ref('int_product_days__rated') }}

),

last_day as (

    select max(review_date) as as_of_date from {{ ref('agg_daily_reviews') }}

),

as_of as (

    -- The last 30 days are those after `day_30_back`, the last day among them; the 30 before are those after `day_60_back`.
    select
        as_of_date,
        cast({{ dbt.dateadd('day', -30, 'as_of_date') }} as date) as day_30_back,
        cast({{ dbt.dateadd('day', -60, 'as_of_date') }} as date) as day_60_back
    from last_day

),

recent as (

    select
        days.product_id,
        sum(case when days.review_date > as_of.day_30_back then days.reviews end) as reviews,
        sum(case when days.review_date > as_of.day_30_back then days.rating_sum end) as rating_sum,
        sum(case when days.review_date <= as_of.day_30_back then days.reviews end) as reviews_before,
        sum(case when days.review_date <= as_of.day_30_back then days.rating_sum end) as rating_sum_before
    from days
    inner join as_of
        on days.review_date > as_of.day_60_back
    group by days.product_id

),

averaged as (

    select
        products.*,
        as_of.as_of_date,
        {{ average_rating('products.rating_sum', 'products.reviews') }} as average_rating,
        cast(coalesce(recent.reviews, 0) as bigint) as reviews_30_days,
        {{ average_rating('recent.rating_sum', 'recent.reviews') }} as average_rating_30_days,
        cast(coalesce(recent.reviews_before, 0) as bigint) as reviews_30_days_before,
        {{ average_rating('recent.rating_sum_before', 'recent.reviews_before') }} as average_rating_30_days_before
    from products
    cross join as_of
    left join recent
        on products.product_id = recent.product_id

)

select
    product_id,
    reviews,
    average_rating,
    good_reviews,
    middling_reviews,
    bad_reviews,
    written_reviews,
    positive_reviews,
    neutral_reviews,
    negative_reviews,
    first_review_date,
    last_review_date,
    as_of_date,
    reviews_30_days,
    average_rating_30_days,
    reviews_30_days_before,
    average_rating_30_days_before,
    cast(average_rating_30_days - average_rating_30_days_before as numeric(3, 2)) as rating_change,
    coalesce(
        average_rating_30_days_before - average_rating_30_days >= {{ var('rating_drop') }}
        and reviews_30_days >= {{ var('rating_drop_reviews') }}
        and reviews_30_days_before >= {{ var('rating_drop_reviews') }},
        false
    ) as has_dropped
from averaged
