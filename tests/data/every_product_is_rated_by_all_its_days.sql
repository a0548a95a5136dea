{{ config(group='feedback') }}
-- Fails with each product whose totals are not the sum of its days.
with days as (

    select
        product_id,
        sum(reviews) as reviews,
        sum(rating_sum) as rating_sum,
        sum(written_reviews) as written_reviews,
        max(review_date) as last_review_date
    from {{ ref('int_product_days__rated') }}
    where {{ converge.is_tested(ref('int_product_days__rated'), 'product_id') }}
    group by product_id

),

products as (

    select * from {{ ref('int_products__rated') }}
    where {{ converge.is_tested(ref('int_product_days__rated'), 'product_id') }}

)

select
    coalesce(days.product_id, products.product_id) as product_id,
    days.reviews,
    products.reviews as reviews_shown,
    days.rating_sum,
    products.rating_sum as rating_sum_shown
from days
full outer join products
    on days.product_id = products.product_id
where
    days.reviews is distinct from products.reviews
    or days.rating_sum is distinct from products.rating_sum
    or days.written_reviews is distinct from products.written_reviews
    or days.last_review_date is distinct from products.last_review_date
