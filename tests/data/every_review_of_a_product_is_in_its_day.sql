{{ config(group='feedback') }}
-- Fails with each product and day that leaves a review out, or counts one too many.
with reviews as (

    select
        product_id,
        review_date,
        count(*) as reviews,
        sum(rating) as rating_sum,
        count(review_text) as written_reviews
    from {{ ref('fct_reviews') }}
    where
        product_id is not null
        and {{ converge.is_tested(ref('fct_reviews'), 'product_id', 'review_date') }}
    group by product_id, review_date

),

days as (

    select * from {{ ref('int_product_days__rated') }}
    where {{ converge.is_tested(ref('fct_reviews'), 'product_id', 'review_date') }}

)

select
    coalesce(reviews.product_id, days.product_id) as product_id,
    coalesce(reviews.review_date, days.review_date) as review_date,
    reviews.reviews,
    days.reviews as reviews_shown,
    reviews.rating_sum,
    days.rating_sum as rating_sum_shown
from reviews
full outer join days
    on
        reviews.product_id = days.product_id
        and reviews.review_date = days.review_date
where
    reviews.reviews is distinct from days.reviews
    or reviews.rating_sum is distinct from days.rating_sum
    or reviews.written_reviews is distinct from days.written_reviews
    or days.good_reviews + days.middling_reviews + days.bad_reviews != days.reviews
    or days.positive_reviews + days.neutral_reviews + days.negative_reviews != days.written_reviews
