{# Grain: one row per landed row of the shop's payments, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'payments')) }}

),

typed as (

    select
        landed.*,
        trim(cast(payment_id as varchar)) as source_payment_id,
        trim(cast(order_id as varchar)) as source_order_id,
        {{ clean_code('status', 'lower') }} as clean_status,
        coalesce({{ clean_code('currency') }}, 'USD') as currency_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_payment_id as payment_id,
    source_payment_id,
    'web-' || source_order_id as order_id,
    -- Optional: read from the record, so that a shop may lack the column.
    'web-' || {{ json_field('_record', 'refunds_payment_id') }} as refunds_payment_id,
    coalesce({{ clean_code('method', 'lower') }}, 'unknown') as method,
    installments,
    amount,
    currency_code as currency,
    clean_status as status,
    cast(paid_at as timestamptz) as paid_at,
    cast(created_at as timestamptz) as created_at,
    coalesce(cast(updated_at as timestamptz), cast('1900-01-01' as timestamptz)) as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('payment_id_missing', 'missing', 'error', "source_payment_id is null or source_payment_id = ''", 'The payment has no id.'),
        ('order_id_missing', 'missing', 'error', "source_order_id is null or source_order_id = ''", 'The payment has no order.'),
        ('amount_missing', 'missing', 'error', 'amount is null', 'The payment has no amount.'),
        ('amount_negative', 'range', 'error', "amount < 0 and coalesce(clean_status, '') != 'refunded'", 'The amount is below zero.'),
        ('amount_absurd', 'range', 'error', 'amount >= 100000000 or amount <= -100000000', 'The amount is 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('status_missing', 'missing', 'error', 'clean_status is null', 'The payment has no status.'),
        ('status_unknown', 'reference', 'error', "clean_status not in ('authorized', 'captured', 'refunded', 'failed')", 'The status is not authorized, captured, refunded or failed.'),
        ('refund_captured', 'range', 'error', "clean_status = 'captured' and " ~ json_field('_record', 'refunds_payment_id') ~ ' is not null', 'The payment gives money of another one back, and its status is captured: it must be refunded.'),
        ('paid_at_impossible', 'range', 'error', is_no_date('paid_at'), 'The payment date is before 2000 or after 2099.'),
        ('paid_in_future', 'range', 'error', 'paid_at > _latest_at', 'The payment date is later than its load can have seen.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is later than its load can have seen.'),
        ('currency_missing', 'missing', 'warn', clean_code('currency') ~ ' is null', 'The payment has no currency: read as USD.'),
    ]) }}
from typed
