-- Fails with each day whose reviews, ratings or texts are not what the reviews themselves add up to.
with reviews as (

    select
        review_date,
        count(*) as reviews,
        sum(rating) as rating_sum,
        count(review_text) as written_reviews
    from {{ ref('fct_reviews') }}
    where {{ converge.is_tested(ref('fct_reviews'), 'review_date') }}
    group by review_date

),

days as (

    select
        review_date,
        sum(reviews) as reviews,
        sum(rating_sum) as rating_sum,
        sum(written_reviews) as written_reviews,
        sum(positive_reviews + neutral_reviews + negative_reviews) as judged_reviews
    from {{ ref('agg_daily_reviews') }}
    where {{ converge.is_tested(ref('fct_reviews'), 'review_date') }}
    group by review_date

)

select
    coalesce(reviews.review_date, days.review_date) as review_date,
    reviews.reviews,
    days.reviews as reviews_shown,
    reviews.rating_sum,
    days.rating_sum as rating_sum_shown
from reviews
full outer join days
    on reviews.review_date = days.review_date
where
    reviews.reviews is distinct from days.reviews
    or reviews.rating_sum is distinct from days.rating_sum
    or reviews.written_reviews is distinct from days.written_reviews
    or days.judged_reviews is distinct from days.written_reviews
