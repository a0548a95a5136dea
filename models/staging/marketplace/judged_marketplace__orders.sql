{# Grain: one row per landed record of the marketplace's orders, judged. An order comes whole: a bad line refuses it. #}
{{ config(materialized='ephemeral') }}

with landed as (

    select * from {{ converge.landed(source('marketplace', 'orders')) }} as landed

),

read as (

    select
        landed.*,
        {{ json_field('payload', 'order_id') }} as source_order_id,
        {{ json_field('payload', 'buyer.buyer_id') }} as buyer_id,
        {{ json_field('payload', 'placed_at') }} as placed_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text,
        {{ json_field('payload', 'total_amount') }} as total_text,
        {{ clean_code(json_field('payload', 'region'), 'lower') }} as region,
        {{ clean_code(json_field('payload', 'status'), 'lower') }} as source_status,
        {{ clean_code(json_field('payload', 'currency')) }} as source_currency,
        {{ json_array('payload', 'lines') }} as lines,
        {{ json_array('payload', 'payments') }} as payments
    from landed

),

typed as (

    select
        read.*,
        coalesce(source_currency, 'USD') as currency,
        {{ try_cast('placed_at_text', 'timestamptz') }} as placed_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at,
        {{ try_cast('total_text', 'numeric') }} as stated_amount
    from read

)

select
    'mkt-' || source_order_id as order_id,
    source_order_id,
    'mkt-' || buyer_id as customer_id,
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
    coalesce(updated_at, cast('1900-01-01' as timestamptz)) as _version_at,
    coalesce({{ json_field('payload', 'deleted') }} = 'true', false) as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    payload as _record,
    {{ judge([
        ('record_unreadable', 'error', "payload ->> '_unreadable' is not null", 'The record could not be read.'),
        ('order_id_missing', 'error', 'source_order_id is null', 'The order has no id.'),
        ('buyer_missing', 'error', 'buyer_id is null', 'The order has no buyer.'),
        ('region_unknown', 'error', "region is null or region not in ('us', 'eu', 'apac')", 'The region is not us, eu or apac.'),
        ('placed_at_missing', 'error', 'placed_at_text is null', 'The order has no date.'),
        ('placed_at_unreadable', 'error', 'placed_at_text is not null and placed_at is null', 'The order date is not a date.'),
        ('placed_at_impossible', 'error', "placed_at < '2000-01-01' or placed_at >= '2100-01-01'", 'The order date is before 2000 or after 2099.'),
        ('placed_in_future', 'error', "placed_at > updated_at + interval '1 day'", 'The order date is more than a day after its last change.'),
        ('updated_at_unreadable', 'error', 'updated_at is null', 'The time of the change is missing or not a time.'),
        ('status_unknown', 'error', "source_status is null or source_status not in (select source_status from " ~ ref('order_statuses') ~ ")", 'The status is not in seeds/order_statuses.csv.'),
        ('currency_unknown', 'error', 'currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_unreadable', 'error', 'total_text is not null and stated_amount is null', 'The total is not a number.'),
        ('total_negative', 'error', 'stated_amount < 0', 'The total is below zero.'),
        ('total_absurd', 'error', 'stated_amount >= 100000000', 'The total is 100 million or more.'),
        ('total_high', 'warn', 'stated_amount > 50000', 'The total is over 50,000.'),
        ('currency_missing', 'warn', 'source_currency is null', 'The order has no currency: read as USD.'),
        ('lines_missing', 'error', 'lines is null or jsonb_array_length(lines) = 0', 'The order has no lines.'),
        ('line_wrong', 'error', any_line_is_wrong('lines'), 'A line has a wrong number, product, quantity or amount.'),
        ('payment_wrong', 'error', any_payment_is_wrong('payments'), 'A payment has a wrong id, amount, status or time.'),
    ]) }}
from typed
