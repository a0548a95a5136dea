{# Grain: one row per landed row of trade.money_in, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'payments'), 'money_id purchase_no kind cents currency state booked modified _op') }}

),

typed as (

    select
        landed.*,
        {{ exact_id('money_id') }} as source_payment_id,
        {{ exact_id('purchase_no') }} as source_order_id,
        case cast(state as varchar)
            when 'reserved' then 'authorized'
            when 'booked' then 'captured'
            when 'returned' then 'refunded'
            when 'refused' then 'failed'
        end as status,
        {{ clean_code('currency') }} as currency_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_payment_id as payment_id,
    source_payment_id,
    'web-' || source_order_id as order_id,
    cast(null as varchar) as refunds_payment_id,
    coalesce({{ clean_code('kind', 'lower') }}, 'unknown') as method,
    cast(null as integer) as installments,
    cast(null as integer) as payment_sequence,
    cast(cents / 100.0 as numeric(20, 2)) as amount,
    currency_code as currency,
    status,
    cast(booked as timestamptz) as paid_at,
    cast(booked as timestamptz) as created_at,
    {{ version_at('cast(modified as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('payment_id_missing', 'missing', 'error', 'source_payment_id is null', 'The payment has no id.'),
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The payment has no order.'),
        ('amount_missing', 'missing', 'error', 'cents is null', 'The payment has no amount.'),
        ('amount_impossible', 'range', 'error', is_no_amount('cents'), 'The amount is below zero, or a million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code is null or currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('status_unknown', 'reference', 'error', 'status is null', 'The state is none of those that judged_shop__payments translates.'),
        ('paid_at_impossible', 'range', 'error', is_no_date('booked'), 'The payment date is before 2000 or after 2099.'),
        ('changed_in_future', 'range', 'error', 'cast(modified as timestamptz) > _latest_at', 'Its last change is in the future.'),
    ], of_key=['payment_id_missing'], is_deleted="_op = 'd'") }}
from typed
