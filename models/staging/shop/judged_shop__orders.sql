{# Grain: one row per landed row of the shop's orders, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'orders'),
        'order_id customer_id status currency total_amount discount_code placed_at shipped_at delivered_at created_at updated_at _op',
        optional={'credited_order_id': 'varchar', 'approved_at': 'timestamptz', 'estimated_delivery_at': 'timestamptz'}
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('order_id') }} as source_order_id,
        {{ exact_id('customer_id') }} as source_customer_id,
        {{ exact_id('credited_order_id') }} as source_credited_order_id,
        {{ clean_code('status', 'lower') }} as source_status,
        coalesce({{ clean_code('currency') }}, 'USD') as currency_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_order_id as order_id,
    source_order_id,
    case when not {{ is_no_id('source_customer_id') }} then 'web-' || source_customer_id end as customer_id,
    'web-' || source_credited_order_id as credited_order_id,
    source_status,
    currency_code as currency,
    total_amount as stated_amount,
    {{ clean_text('discount_code') }} as discount_code,
    cast(placed_at as timestamptz) as placed_at,
    {{ possible_time('approved_at') }} as approved_at,
    {{ possible_time('shipped_at') }} as shipped_at,
    {{ possible_time('delivered_at') }} as delivered_at,
    {{ possible_time('estimated_delivery_at') }} as estimated_delivery_at,
    cast(created_at as timestamptz) as created_at,
    cast(updated_at as timestamptz) as updated_at,
    {{ version_at('cast(updated_at as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    _record,
    {{ judge([
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The order has no id.'),
        ('order_id_malformed', 'type', 'error', is_no_id('source_order_id'), 'An id is at most 200 printable characters.'),
        ('customer_id_malformed', 'type', 'error', is_no_id('source_customer_id'), 'An id is at most 200 printable characters.'),
        ('placed_at_missing', 'missing', 'error', 'placed_at is null', 'The order has no date.'),
        ('placed_at_impossible', 'range', 'error', is_no_date('placed_at'), 'The order date is before 2000 or after 2099.'),
        ('placed_in_future', 'range', 'error', is_in_future('placed_at'), 'The order date is in the future: later than its load can have read.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('status_missing', 'missing', 'error', 'source_status is null', 'The order has no status.'),
        ('status_unknown', 'reference', 'error', "source_status not in (select source_status from " ~ ref('order_statuses') ~ ")", 'The status is not in seeds/order_statuses.csv.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_negative', 'range', 'error', 'total_amount < 0 and not ' ~ is_credit_note('source_credited_order_id', 'source_status'), 'The total is below zero.'),
        ('total_absurd', 'range', 'error', 'total_amount >= 100000000 or total_amount <= -100000000', 'The total is 100 million or more.'),
        ('total_high', 'range', 'warn', 'total_amount > 50000 and total_amount < 100000000', 'The total is over 50,000.'),
        ('approved_at_impossible', 'range', 'warn', is_no_date('approved_at'), 'The approval is before 2000 or after 2099: read as unknown.'),
        ('shipped_at_impossible', 'range', 'warn', is_no_date('shipped_at'), 'The shipping is before 2000 or after 2099: read as unknown.'),
        ('delivered_at_impossible', 'range', 'warn', is_no_date('delivered_at'), 'The delivery is before 2000 or after 2099: read as unknown.'),
        ('estimated_delivery_at_impossible', 'range', 'warn', is_no_date('estimated_delivery_at'), 'The estimated delivery is before 2000 or after 2099: read as unknown.'),
        ('currency_missing', 'missing', 'warn', clean_code('currency') ~ ' is null', 'The order has no currency: read as USD.'),
    ], of_key=['order_id_missing', 'order_id_malformed'], is_deleted="_op = 'd'") }}
from typed
