{# Grain: one row per review and order; one row for a review that names no order. #}
{{ config(
    unique_key='review_id',
    meta={
        'track': ['product_id', 'review_date', 'language'],
        'publish': {'schema': 'core', 'group': 'feedback'},
    },
    indexes=[{'columns': ['product_id', 'review_date']}, {'columns': ['review_date']}],
) }}

{% call converge.touched('review_id') %}
    select review_id from {{ converge.changes(ref('stg_reviews__reviews')) }}
    union all
    select review_id from {{ converge.changes(ref('int_reviews__scored')) }}
{% endcall %}

with reviews as (

    select * from {{ converge.touched_rows(ref('stg_reviews__reviews'), 'review_id') }} as touched
    where not _is_deleted

),

sentiments as (

    select * from {{ converge.touched_rows(ref('int_reviews__scored'), 'review_id') }} as touched

)

select
    reviews.review_id,
    reviews.source_review_id,
    reviews.order_id,
    reviews.product_id,
    reviews.customer_id,
    reviews.rating,
    reviews.title,
    reviews.review_text,
    reviews.language,
    sentiments.sentiment,
    sentiments.sentiment_score,
    reviews.created_at as reviewed_at,
    {{ reporting_date('reviews.created_at') }} as review_date,
    reviews.updated_at
from reviews
left join sentiments
    on reviews.review_id = sentiments.review_id
