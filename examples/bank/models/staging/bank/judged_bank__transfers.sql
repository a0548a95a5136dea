{# Grain: one row per landed line of the bank's statements, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('bank', 'transfers'), 'payload', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'Umsatz-Nr') }} as source_payment_id,
        -- The order's number is the last word of the purpose: `Bestellung 4711`.
        {{ clean_text(dbt.split_part(json_field('payload', 'Verwendungszweck'), "' '", -1)) }} as source_order_id,
        {{ json_field('payload', 'Buchungstag') }} as german_date,
        -- 1.234,50 is 1234.50.
        replace(replace({{ json_field('payload', 'Betrag') }}, '.', ''), ',', '.') as amount_text,
        {{ clean_code(json_field('payload', 'Währung')) }} as currency,
        coalesce({{ clean_code(json_field('payload', 'Storno')) }}, 'N') = 'J' as is_reversed,
        {{ try_cast(json_field('payload', 'Stand'), 'timestamptz') }} as changed_at
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        {{ try_cast('amount_text', 'numeric') }} as amount,
        -- 31.01.2026 is 2026-01-31.
        {{ try_cast("substr(german_date, 7, 4) || '-' || substr(german_date, 4, 2) || '-' || substr(german_date, 1, 2)", 'timestamptz') }} as paid_at
    from {{ computed_once('read') }}

)

select
    'bank-' || source_payment_id as payment_id,
    source_payment_id,
    case when not {{ is_no_id('source_order_id') }} then 'web-' || source_order_id end as order_id,
    amount,
    currency,
    paid_at,
    {{ version_at('changed_at', 'is_reversed') }} as _version_at,
    is_reversed as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The line could not be read.'),
        ('payment_id_malformed', 'type', 'error', 'source_payment_id is null or ' ~ is_no_id('source_payment_id'), 'The transfer has no number of at most 200 printable characters.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The purpose of the transfer names no order by at most 200 printable characters.'),
        ('amount_impossible', 'range', 'error', 'amount is null or ' ~ is_no_amount('amount'), 'The amount is missing, no number, below zero, or 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency is null or currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('paid_at_impossible', 'range', 'error', 'paid_at is null or ' ~ is_no_date('paid_at'), 'The transfer has no day, or one before 2000 or after 2099.'),
        ('changed_at_impossible', 'range', 'error', 'changed_at is null or changed_at > _latest_at', 'Its last change has no time, or one in the future.'),
    ], of_key=['record_unreadable', 'payment_id_malformed'], is_deleted='is_reversed') }}
from typed
