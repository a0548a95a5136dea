{# Grain: one row per landed record of the marketplace's orders, judged. An order lands with its lines: one wrong line refuses it. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('marketplace', 'orders'), 'payload', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'order_id') }} as source_order_id,
        {{ json_field('payload', 'buyer') }} as buyer_text,
        {{ json_id('payload', 'buyer.buyer_id') }} as buyer_id,
        {{ json_id('payload', 'credited_order_id') }} as source_credited_order_id,
        {{ json_field('payload', 'placed_at') }} as placed_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text,
        {{ json_field('payload', 'deleted') }} as deleted_text,
        {{ json_field('payload', 'total_amount') }} as total_text,
        {{ clean_code(json_field('payload', 'region'), 'lower') }} as region,
        {{ clean_code(json_field('payload', 'status'), 'lower') }} as source_status,
        {{ clean_code(json_field('payload', 'currency')) }} as source_currency,
        {{ json_field('payload', 'lines') }} as lines_text,
        {{ json_array('payload', 'lines') }} as lines,
        {{ json_field('payload', 'payments') }} as payments_text,
        {{ json_array('payload', 'payments') }} as payments
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        coalesce(source_currency, 'USD') as currency,
        coalesce(lower(deleted_text) = 'true', false) as is_deleted,
        {{ try_cast('placed_at_text', 'timestamptz') }} as placed_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at,
        {{ try_cast('total_text', 'numeric') }} as stated_amount
    from {{ computed_once('read') }}

)

select
    'mkt-' || source_order_id as order_id,
    source_order_id,
    case when not {{ is_no_id('buyer_id') }} then 'mkt-' || buyer_id end as customer_id,
    'mkt-' || source_credited_order_id as credited_order_id,
    {{ json_field('payload', 'buyer.email') }} as buyer_email,
    {{ json_field('payload', 'buyer.name') }} as buyer_name,
    {{ json_field('payload', 'buyer.city') }} as buyer_city,
    {{ clean_code(json_field('payload', 'buyer.country')) }} as buyer_country,
    region,
    source_status,
    currency,
    stated_amount,
    {{ json_field('payload', 'discount_code') }} as discount_code,
    placed_at,
    updated_at,
    lines,
    coalesce(payments, cast('[]' as jsonb)) as payments,
    {{ version_at('updated_at', 'is_deleted') }} as _version_at,
    is_deleted as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The record could not be read.'),
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The order has no id.'),
        ('order_id_malformed', 'type', 'error', is_no_id('source_order_id'), 'An id is at most 200 printable characters.'),
        ('buyer_malformed', 'type', 'error', is_no_id('buyer_id'), 'An id is at most 200 printable characters.'),
        ('buyer_unreadable', 'type', 'error', "buyer_text is not null and jsonb_typeof(payload -> 'buyer') != 'object'", 'The buyer is not an object.'),
        ('region_missing', 'missing', 'error', 'region is null', 'The order has no region.'),
        ('region_unknown', 'reference', 'error', "region not in ('us', 'eu', 'apac')", 'The region is not us, eu or apac.'),
        ('placed_at_missing', 'missing', 'error', 'placed_at_text is null', 'The order has no date.'),
        ('placed_at_unreadable', 'type', 'error', is_not_a('time', 'placed_at_text'), 'The order date is not a date.'),
        ('placed_at_impossible', 'range', 'error', is_no_date('placed_at'), 'The order date is before 2000 or after 2099.'),
        ('placed_in_future', 'range', 'error', is_in_future('placed_at'), 'The order date is in the future: later than its load can have read.'),
        ('updated_at_missing', 'missing', 'error', 'updated_at_text is null', 'The time of the change is missing.'),
        ('updated_at_unreadable', 'type', 'error', is_not_a('time', 'updated_at_text'), 'The time of the change is not a time.'),
        ('changed_in_future', 'range', 'error', 'updated_at > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('changed_before_interval', 'range', 'error', 'updated_at < _earliest_at', 'Its last change is far older than the interval of its load.'),
        ('deleted_unreadable', 'type', 'error', is_not_a('flag', 'deleted_text'), '`deleted` must be true or false.'),
        ('status_missing', 'missing', 'error', 'source_status is null', 'The order has no status.'),
        ('status_unknown', 'reference', 'error', "source_status not in (select source_status from " ~ ref('order_statuses') ~ ")", 'The status is not in seeds/order_statuses.csv.'),
        ('currency_unknown', 'reference', 'error', 'currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_unreadable', 'type', 'error', is_not_a('number', 'total_text'), 'The total is not a number.'),
        ('total_negative', 'range', 'error', 'stated_amount < 0 and not ' ~ is_credit_note('source_credited_order_id', 'source_status'), 'The total is below zero.'),
        ('total_absurd', 'range', 'error', 'stated_amount >= 100000000 or stated_amount <= -100000000', 'The total is 100 million or more.'),
        ('lines_missing', 'missing', 'error', "lines_text is null or jsonb_array_length(lines) = 0", 'The order has no lines.'),
        ('lines_unreadable', 'type', 'error', 'lines_text is not null and lines is null', 'The lines are not a list.'),
        ('line_incomplete', 'missing', 'error', any_line('lines', is='incomplete'), 'A line has no number, product, quantity or price.'),
        ('line_unreadable', 'type', 'error', any_line('lines', is='unreadable'), 'A line has a number, quantity or amount that is not a number, or a product id that is not at most 200 printable characters.'),
        ('line_out_of_range', 'range', 'error', any_line('lines', is='out_of_range'), 'A number, quantity or amount of a line is too low or too high.'),
        ('line_discounted_too_much', 'range', 'error', any_line('lines', is='discounted_too_much'), 'The discount of a line is higher than the price of the goods.'),
        ('line_duplicated', 'duplicate', 'error', any_line('lines', is='duplicated'), 'Two lines have the same number.'),
        ('payments_unreadable', 'type', 'error', 'payments_text is not null and payments is null', 'The payments are not a list.'),
        ('payment_incomplete', 'missing', 'error', any_payment('payments', is='incomplete'), 'A payment has no id, amount or status.'),
        ('payment_unreadable', 'type', 'error', any_payment('payments', is='unreadable'), 'A payment has an amount that is not a number, a date that is not a date, or an id that is not at most 200 printable characters other than /.'),
        ('payment_out_of_range', 'range', 'error', any_payment('payments', is='out_of_range'), 'The amount of a payment is below zero, or 100 million or more; or its date is before 2000 or after 2099.'),
        ('payment_in_future', 'range', 'error', any_payment('payments', is='in_future', until='_latest_at'), 'A payment is in the future: later than its load can have read.'),
        ('payment_status_unknown', 'reference', 'error', any_payment('payments', is='of_no_status'), 'The status of a payment is not authorized, captured, refunded or failed.'),
        ('refund_captured', 'range', 'error', any_payment('payments', is='captured_back'), 'A payment refunds another payment but has the status captured: it must be refunded.'),
        ('payment_duplicated', 'duplicate', 'error', any_payment('payments', is='duplicated'), 'Two payments have the same id.'),
        ('installments_unreadable', 'type', 'warn', any_payment('payments', is='installed_unreadably'), 'The instalments of a payment are not a number: read as unknown.'),
        ('total_high', 'range', 'warn', 'stated_amount > 50000 and stated_amount < 100000000', 'The total is over 50,000.'),
        ('currency_missing', 'missing', 'warn', 'source_currency is null', 'The order has no currency: read as USD.'),
    ], of_key=['record_unreadable', 'order_id_missing', 'order_id_malformed'], is_deleted="is_deleted") }}
from typed
