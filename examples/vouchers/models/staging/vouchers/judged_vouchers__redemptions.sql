{# Grain: one row per landed record of the vouchers' redemptions, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('vouchers', 'redemptions'), 'payload _op', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'code') }} as code,
        {{ json_id('payload', 'order') }} as source_order_id,
        {{ clean_code(json_field('payload', 'currency')) }} as currency,
        {{ try_cast(json_field('payload', 'amount'), 'numeric') }} as amount,
        {{ try_cast(json_field('payload', 'redeemed_at'), 'timestamptz') }} as paid_at
    from {{ computed_once('landed') }}

)

select
    -- A voucher may pay for several orders.
    'voucher-' || code || '/' || source_order_id as payment_id,
    code || '/' || source_order_id as source_payment_id,
    case when not {{ is_no_id('source_order_id') }} then 'woocommerce-' || source_order_id end as order_id,
    amount,
    currency,
    paid_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    code || '/' || source_order_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The record is not a JSON object.'),
        ('code_malformed', 'type', 'error', 'code is null or ' ~ is_no_id('code') ~ " or code like '%/%'", 'The redemption has no code of at most 200 printable characters other than /.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The redemption has no order with an id of at most 200 printable characters.'),
        ('amount_impossible', 'range', 'error', 'amount is null or ' ~ is_no_amount('amount'), 'The amount is missing, below zero, or 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency is null or currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('paid_at_impossible', 'range', 'error', 'paid_at is null or ' ~ is_no_date('paid_at'), 'The redemption has no time, or one before 2000 or after 2099.'),
    ], of_key=['record_unreadable', 'code_malformed', 'order_id_malformed'], is_deleted="_op = 'd'") }}
from read
