{# Grain: one row per product and day on which it was reviewed. #}
{{ config(
    unique_key=['product_id', 'review_date'],
    indexes=[{'columns': ['review_date']}],
    meta={'publish': {'schema': 'view_inputs', 'group': 'feedback'}},
) }}

{% call converge.touched('product_id', 'review_date') %}
    select product_id, review_date from {{ converge.changes(ref('fct_reviews')) }}
{% endcall %}

with reviews as (

    select * from {{ converge.touched_rows(ref('fct_reviews'), 'product_id', 'review_date') }} as touched
    where product_id is not null

)

select
    product_id,
    review_date,
    count(*) as reviews,
    sum(rating) as rating_sum,
    sum(case when rating >= 4 then 1 else 0 end) as good_reviews,
    sum(case when rating = 3 then 1 else 0 end) as middling_reviews,
    sum(case when rating <= 2 then 1 else 0 end) as bad_reviews,
    sum(case when review_text is not null then 1 else 0 end) as written_reviews,
    sum(case when sentiment = 'positive' then 1 else 0 end) as positive_reviews,
    sum(case when sentiment = 'neutral' then 1 else 0 end) as neutral_reviews,
    sum(case when sentiment = 'negative' then 1 else 0 end) as negative_reviews
from reviews
group by product_id, review_date
