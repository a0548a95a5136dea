{# Grain: one row per landed record of the reviews, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('reviews', 'reviews'), 'payload', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'review_id') }} as source_review_id,
        {{ json_id('payload', 'order_id') }} as source_order_id,
        {{ json_id('payload', 'product_id') }} as product_id,
        {{ json_id('payload', 'customer_id') }} as source_customer_id,
        {{ json_field('payload', 'rating') }} as rating_text,
        {{ json_field('payload', 'title') }} as title,
        {{ json_field('payload', 'text') }} as review_text,
        {{ clean_code(json_field('payload', 'language'), 'lower') }} as language,
        {{ json_field('payload', 'created_at') }} as created_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text,
        {{ json_field('payload', 'deleted') }} as deleted_text
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        coalesce(lower(deleted_text) = 'true', false) as is_deleted,
        {{ try_cast('rating_text', 'numeric') }} as rating,
        {{ try_cast('created_at_text', 'timestamptz') }} as created_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at
    from {{ computed_once('read') }}

)

select
    -- One review may be about several orders.
    source_review_id || ':' || coalesce(source_order_id, '') as review_id,
    source_review_id,
    'web-' || source_order_id as order_id,
    product_id,
    'web-' || source_customer_id as customer_id,
    rating,
    title,
    review_text,
    case when length(language) <= 35 then language end as language,
    created_at,
    updated_at,
    {{ version_at('updated_at', 'is_deleted') }} as _version_at,
    is_deleted as _is_deleted,
    _load_id,
    _row,
    source_review_id || ':' || coalesce(source_order_id, '') as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The record could not be read.'),
        ('review_id_missing', 'missing', 'error', 'source_review_id is null', 'The review has no id.'),
        ('review_id_malformed', 'type', 'error', is_no_id('source_review_id'), 'An id is at most 200 printable characters.'),
        ('order_id_malformed', 'type', 'error', is_no_id('source_order_id') ~ " or source_order_id like '%:%'", 'The id of an order is at most 200 printable characters other than a colon.'),
        ('subject_missing', 'missing', 'error', 'product_id is null and source_order_id is null', 'The review names neither a product nor an order.'),
        ('product_id_malformed', 'type', 'error', is_no_id('product_id'), 'An id is at most 200 printable characters.'),
        ('rating_missing', 'missing', 'error', 'rating_text is null', 'The review has no rating.'),
        ('rating_unreadable', 'type', 'error', is_not_a('whole number', 'rating_text'), 'The rating is not a whole number.'),
        ('rating_out_of_range', 'range', 'error', 'rating not between 1 and 5', 'The rating is not from 1 to 5.'),
        ('created_at_missing', 'missing', 'error', 'created_at_text is null', 'The review has no date.'),
        ('created_at_unreadable', 'type', 'error', is_not_a('time', 'created_at_text'), 'The date is not a date.'),
        ('created_at_impossible', 'range', 'error', is_no_date('created_at'), 'The date is before 2000 or after 2099.'),
        ('created_in_future', 'range', 'error', is_in_future('created_at'), 'The date is in the future: later than its load can have read.'),
        ('updated_at_missing', 'missing', 'error', 'updated_at_text is null', 'The time of the change is missing.'),
        ('updated_at_unreadable', 'type', 'error', is_not_a('time', 'updated_at_text'), 'The time of the change is not a time.'),
        ('changed_in_future', 'range', 'error', 'updated_at > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('changed_before_interval', 'range', 'error', 'updated_at < _earliest_at', 'Its last change is far older than the interval of its load.'),
        ('deleted_unreadable', 'type', 'error', is_not_a('flag', 'deleted_text'), '`deleted` must be true or false.'),
        ('language_unreadable', 'type', 'warn', 'length(language) > 35', 'The language has more than 35 characters: read as unknown.'),
        ('text_missing', 'missing', 'warn', 'review_text is null', 'The review has no text.'),
    ], of_key=['record_unreadable', 'review_id_missing', 'review_id_malformed', 'order_id_malformed'], is_deleted="is_deleted") }}
from typed
