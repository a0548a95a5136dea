{# Grain: one row per product that was reviewed. #}
{{ config(unique_key='product_id', meta={'publish': {'schema': 'view_inputs', 'group': 'feedback'}}) }}

{% call converge.touched('product_id') %}
    select product_id from {{ converge.changes(ref('int_product_days__rated')) }}
{% endcall %}

select
    product_id,
    cast(sum(reviews) as bigint) as reviews,
    cast(sum(rating_sum) as bigint) as rating_sum,
    cast(sum(good_reviews) as bigint) as good_reviews,
    cast(sum(middling_reviews) as bigint) as middling_reviews,
    cast(sum(bad_reviews) as bigint) as bad_reviews,
    cast(sum(written_reviews) as bigint) as written_reviews,
    cast(sum(positive_reviews) as bigint) as positive_reviews,
    cast(sum(neutral_reviews) as bigint) as neutral_reviews,
    cast(sum(negative_reviews) as bigint) as negative_reviews,
    min(review_date) as first_review_date,
    max(review_date) as last_review_date
from {{ converge.touched_rows(ref('int_product_days__rated'), 'product_id') }} as touched
group by product_id
