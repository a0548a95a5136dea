{# Grain: one row per review and order it stands on. #}
{{ config(
    unique_key='review_id',
    meta={'track': ['product_id']},
    indexes=[{'columns': ['product_id']}],
) }}

{% call converge.touched('review_id') %}
    select review_id from {{ converge.changes(ref('stg_reviews__reviews')) }}
{% endcall %}

select
    review_id,
    source_review_id,
    order_id,
    product_id,
    customer_id,
    rating,
    title,
    review_text,
    language,
    created_at as reviewed_at,
    {{ utc_date('created_at') }} as review_date,
    updated_at
from {{ ref('stg_reviews__reviews') }}
where
    {{ converge.is_touched('review_id') }}
    and not _is_deleted
