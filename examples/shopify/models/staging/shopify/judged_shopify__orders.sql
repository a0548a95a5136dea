{# Grain: one row per landed record of Shopify's orders, judged. An order lands with its lines: one wrong line refuses it. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shopify', 'orders'), 'payload _op', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'id') }} as source_order_id,
        {{ json_id('payload', 'customer.id') }} as source_customer_id,
        {{ clean_code(json_field('payload', 'shipping_address.country_code')) }} as country,
        {{ json_field('payload', 'cancelled_at') }} as cancelled_text,
        {{ clean_code(json_field('payload', 'financial_status'), 'lower') }} as financial_status,
        {{ clean_code(json_field('payload', 'fulfillment_status'), 'lower') }} as fulfillment_status,
        {{ clean_code(json_field('payload', 'currency')) }} as currency,
        {{ try_cast(json_field('payload', 'total_price'), 'numeric') }} as stated_amount,
        {{ try_cast(json_field('payload', 'created_at'), 'timestamptz') }} as placed_at,
        {{ try_cast(json_field('payload', 'updated_at'), 'timestamptz') }} as updated_at,
        {{ as_lines(json_array('payload', 'line_items'), 'sku', 'quantity', 'price', discount_amount='total_discount') }} as lines
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        -- Shopify's two states, as one word of seeds/order_statuses.csv.
        case
            when cancelled_text is not null or financial_status = 'voided' then 'canceled'
            when financial_status = 'refunded' then 'refunded'
            when fulfillment_status = 'fulfilled' then 'shipped'
            when financial_status in ('paid', 'partially_refunded') then 'paid'
            when financial_status in ('pending', 'authorized', 'partially_paid') then 'pending'
        end as source_status
    from {{ computed_once('read') }}

)

select
    'shopify-' || source_order_id as order_id,
    source_order_id,
    case when not {{ is_no_id('source_customer_id') }} then 'shopify-' || source_customer_id end as customer_id,
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
        ('status_unknown', 'reference', 'error', 'source_status is null', 'The states are none of those that judged_shopify__orders translates.'),
        ('currency_unknown', 'reference', 'error', 'currency is null or currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_impossible', 'range', 'error', 'stated_amount is null or ' ~ is_no_amount('stated_amount'), 'The total is missing, below zero, or 100 million or more.'),
        ('lines_missing', 'missing', 'error', 'lines is null', 'The order has no lines.'),
        ('line_incomplete', 'missing', 'error', any_line('lines', is='incomplete'), 'A line has no product, quantity or price.'),
        ('line_unreadable', 'type', 'error', any_line('lines', is='unreadable'), 'A line has a quantity or amount that is not a number.'),
        ('line_out_of_range', 'range', 'error', any_line('lines', is='out_of_range'), 'A quantity or amount of a line is too low or too high.'),
    ], of_key=['record_unreadable', 'order_id_malformed'], is_deleted="_op = 'd'") }}
from typed
