{# Grain: one row per landed record of WooCommerce orders, judged. An order lands with its lines: one wrong line refuses it. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('woocommerce', 'orders'), 'payload _op', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'id') }} as source_order_id,
        -- 0 is a guest.
        nullif({{ json_id('payload', 'customer_id') }}, '0') as source_customer_id,
        {{ clean_code(json_field('payload', 'billing.country')) }} as country,
        {{ clean_code(json_field('payload', 'status'), 'lower') }} as woocommerce_status,
        {{ clean_code(json_field('payload', 'currency')) }} as currency,
        {{ try_cast(json_field('payload', 'total'), 'numeric') }} as stated_amount,
        -- Times without a zone, in UTC.
        {{ try_cast(json_field('payload', 'date_created_gmt'), 'timestamptz') }} as placed_at,
        {{ try_cast(json_field('payload', 'date_modified_gmt'), 'timestamptz') }} as updated_at,
        {{ as_lines(json_array('payload', 'line_items'), 'product_id', 'quantity', 'price') }} as lines
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        -- WooCommerce's words, in those of seeds/order_statuses.csv.
        case woocommerce_status
            when 'pending' then 'pending'
            when 'on-hold' then 'pending'
            when 'processing' then 'processing'
            when 'completed' then 'completed'
            when 'refunded' then 'refunded'
            when 'cancelled' then 'cancelled'
            when 'failed' then 'cancelled'
        end as source_status
    from {{ computed_once('read') }}

)

select
    'woocommerce-' || source_order_id as order_id,
    source_order_id,
    case when not {{ is_no_id('source_customer_id') }} then 'woocommerce-' || source_customer_id end as customer_id,
    cast(null as varchar) as credited_order_id,
    country,
    source_status,
    currency,
    stated_amount,
    placed_at,
    updated_at,
    lines,
    {{ version_at('updated_at', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The record is not a JSON object.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The order has no id of at most 200 printable characters.'),
        ('placed_at_impossible', 'range', 'error', 'placed_at is null or ' ~ is_no_date('placed_at'), 'The order has no date, or one before 2000 or after 2099.'),
        ('changed_at_impossible', 'range', 'error', 'updated_at is null or updated_at > _latest_at', 'Its last change has no time, or one in the future.'),
        ('status_unknown', 'reference', 'error', 'source_status is null', 'The status is none of those that judged_woocommerce__orders translates.'),
        ('currency_unknown', 'reference', 'error', 'currency is null or currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_impossible', 'range', 'error', 'stated_amount is null or ' ~ is_no_amount('stated_amount'), 'The total is missing, below zero, or 100 million or more.'),
        ('lines_missing', 'missing', 'error', 'lines is null', 'The order has no lines.'),
        ('line_incomplete', 'missing', 'error', any_line('lines', is='incomplete'), 'A line has no product, quantity or price.'),
        ('line_unreadable', 'type', 'error', any_line('lines', is='unreadable'), 'A line has a quantity or amount that is not a number.'),
        ('line_out_of_range', 'range', 'error', any_line('lines', is='out_of_range'), 'A quantity or amount of a line is too low or too high.'),
    ], of_key=['record_unreadable', 'order_id_malformed'], is_deleted="_op = 'd'") }}
from typed
