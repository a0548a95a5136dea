{# Grain: one row per review and order, its latest accepted version; one row for a review that names no order. #}
{{ config(unique_key='review_id') }}

select
    review_id,
    source_review_id,
    order_id,
    product_id,
    customer_id,
    {{ cast_accepted('rating', 'integer') }} as rating,
    title,
    review_text,
    language,
    created_at,
    updated_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_reviews__reviews') }}
where _errors is null
