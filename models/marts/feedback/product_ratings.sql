{# Grain: one row per product that was rated. #}
{{ config(unique_key='product_id') }}

{% call converge.touched('product_id') %}
    select product_id from {{ converge.changes(ref('fct_reviews')) }}
{% endcall %}

with reviews as (

    select * from {{ ref('fct_reviews') }}
    where
        {{ converge.is_touched('product_id') }}
        and product_id is not null

)

select
    product_id,
    count(*) as reviews,
    cast(round(cast(sum(rating) as numeric) / nullif(count(*), 0), 2) as numeric(3, 2)) as average_rating,
    sum(case when rating >= 4 then 1 else 0 end) as good_reviews,
    sum(case when rating = 3 then 1 else 0 end) as middling_reviews,
    sum(case when rating <= 2 then 1 else 0 end) as bad_reviews,
    sum(case when review_text is not null then 1 else 0 end) as written_reviews,
    min(review_date) as first_review_date,
    max(review_date) as last_review_date
from reviews
group by product_id
