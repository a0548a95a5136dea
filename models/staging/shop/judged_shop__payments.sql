{# Grain: one row per landed row of the shop's payments, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'payments'),
        'payment_id order_id method installments amount currency status paid_at created_at updated_at _op',
        optional={'refunds_payment_id': 'varchar', 'payment_sequence': 'numeric'}
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('payment_id') }} as source_payment_id,
        {{ exact_id('order_id') }} as source_order_id,
        {{ exact_id('refunds_payment_id') }} as source_refunds_payment_id,
        {{ clean_code('status', 'lower') }} as clean_status,
        coalesce({{ clean_code('currency') }}, 'USD') as currency_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_payment_id as payment_id,
    source_payment_id,
    case when not {{ is_no_id('source_order_id') }} then 'web-' || source_order_id end as order_id,
    'web-' || source_refunds_payment_id as refunds_payment_id,
    coalesce({{ clean_code('method', 'lower') }}, 'unknown') as method,
    case when installments between 0 and 999 and installments = trunc(installments) then installments end as installments,
    case when payment_sequence between 0 and 999999 and payment_sequence = trunc(payment_sequence) then payment_sequence end as payment_sequence,
    amount,
    currency_code as currency,
    clean_status as status,
    cast(paid_at as timestamptz) as paid_at,
    cast(created_at as timestamptz) as created_at,
    {{ version_at('cast(updated_at as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('payment_id_missing', 'missing', 'error', 'source_payment_id is null', 'The payment has no id.'),
        ('payment_id_malformed', 'type', 'error', is_no_id('source_payment_id'), 'An id is at most 200 printable characters.'),
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The payment has no order.'),
        ('order_id_malformed', 'type', 'error', is_no_id('source_order_id'), 'An id is at most 200 printable characters.'),
        ('amount_missing', 'missing', 'error', 'amount is null', 'The payment has no amount.'),
        ('amount_negative', 'range', 'error', "amount < 0 and coalesce(clean_status, '') != 'refunded'", 'The amount is below zero.'),
        ('amount_absurd', 'range', 'error', 'amount >= 100000000 or amount <= -100000000', 'The amount is 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('status_missing', 'missing', 'error', 'clean_status is null', 'The payment has no status.'),
        ('status_unknown', 'reference', 'error', "clean_status not in ('authorized', 'captured', 'refunded', 'failed')", 'The status is not authorized, captured, refunded or failed.'),
        ('refund_captured', 'range', 'error', "clean_status = 'captured' and source_refunds_payment_id is not null", 'The payment refunds another payment but has the status captured: it must be refunded.'),
        ('paid_at_impossible', 'range', 'error', is_no_date('paid_at'), 'The payment date is before 2000 or after 2099.'),
        ('paid_in_future', 'range', 'error', is_in_future('paid_at'), 'The payment date is in the future: later than its load can have read.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('currency_missing', 'missing', 'warn', clean_code('currency') ~ ' is null', 'The payment has no currency: read as USD.'),
        ('installments_absurd', 'range', 'warn', 'installments not between 0 and 999 or installments != trunc(installments)', 'The instalments are below zero, over 999 or not a whole number: read as unknown.'),
        ('payment_sequence_impossible', 'range', 'warn', 'payment_sequence not between 0 and 999999 or payment_sequence != trunc(payment_sequence)', 'The number of the payment within its order is below zero, a million or more, or not a whole number: read as unknown.'),
    ], of_key=['payment_id_missing', 'payment_id_malformed'], is_deleted="_op = 'd'") }}
from typed
