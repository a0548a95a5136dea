{# Grain: one row per landed record of the reviews, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    select * from {{ converge.landed(source('reviews', 'reviews')) }} as landed

),

read as (

    select
        landed.*,
        {{ json_field('payload', 'review_id') }} as source_review_id,
        {{ json_field('payload', 'order_id') }} as source_order_id,
        {{ json_field('payload', 'product_id') }} as product_id,
        {{ json_field('payload', 'customer_id') }} as source_customer_id,
        {{ json_field('payload', 'rating') }} as rating_text,
        {{ json_field('payload', 'title') }} as title,
        {{ json_field('payload', 'text') }} as review_text,
        {{ clean_code(json_field('payload', 'language'), 'lower') }} as language,
        {{ json_field('payload', 'created_at') }} as created_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text
    from landed

),

typed as (

    select
        read.*,
        {{ try_cast('rating_text', 'integer') }} as rating,
        {{ try_cast('created_at_text', 'timestamptz') }} as created_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at
    from read

)

select
    -- One review may stand on several orders.
    source_review_id || ':' || coalesce(source_order_id, '') as review_id,
    source_review_id,
    'web-' || source_order_id as order_id,
    product_id,
    'web-' || source_customer_id as customer_id,
    rating,
    title,
    review_text,
    language,
    created_at,
    updated_at,
    coalesce(updated_at, cast('1900-01-01' as timestamptz)) as _version_at,
    coalesce({{ json_field('payload', 'deleted') }} = 'true', false) as _is_deleted,
    _load_id,
    _row,
    source_review_id as _key,
    payload as _record,
    {{ judge([
        ('record_unreadable', 'error', "payload ->> '_unreadable' is not null", 'The record could not be read.'),
        ('review_id_missing', 'error', 'source_review_id is null', 'The review has no id.'),
        ('subject_missing', 'error', 'product_id is null and source_order_id is null', 'The review names neither a product nor an order.'),
        ('product_id_malformed', 'error', 'not ' ~ is_product_id('product_id'), 'A product id is letters, digits, - and _, 64 at most.'),
        ('rating_missing', 'error', 'rating_text is null', 'The review has no rating.'),
        ('rating_out_of_range', 'error', 'rating_text is not null and (rating is null or rating not between 1 and 5)', 'The rating is not a whole number from 1 to 5.'),
        ('created_at_unreadable', 'error', 'created_at is null', 'The date is missing or not a date.'),
        ('created_at_impossible', 'error', "created_at < '2000-01-01' or created_at >= '2100-01-01'", 'The date is before 2000 or after 2099.'),
        ('created_in_future', 'error', "created_at > updated_at + interval '1 day'", 'The date is more than a day after the last change.'),
        ('updated_at_unreadable', 'error', 'updated_at is null', 'The time of the change is missing or not a time.'),
        ('text_missing', 'warn', 'review_text is null', 'The review has no text.'),
    ]) }}
from typed
