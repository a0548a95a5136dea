{# Grain: one row per landed event of a charge, judged. #}
{{ config(materialized='ephemeral') }}

{% set epoch = "cast('1970-01-01' as timestamptz)" %}

with landed as (

    {{ landed_with_interval(source('stripe', 'charges'), 'payload _op', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'data.object.id') }} as source_payment_id,
        {{ json_id('payload', 'data.object.metadata.order_id') }} as source_order_id,
        {{ clean_code(json_field('payload', 'data.object.payment_method_details.type'), 'lower') }} as method,
        {{ try_cast(json_field('payload', 'data.object.amount'), 'numeric') }} as minor_amount,
        coalesce({{ try_cast(json_field('payload', 'data.object.amount_refunded'), 'numeric') }}, 0) as minor_refunded,
        {{ clean_code(json_field('payload', 'data.object.currency')) }} as currency,
        {{ clean_code(json_field('payload', 'data.object.status'), 'lower') }} as charge_status,
        lower({{ json_field('payload', 'data.object.captured') }}) = 'true' as is_captured,
        {{ try_cast(json_field('payload', 'data.object.created'), 'bigint') }} as paid_epoch,
        {{ try_cast(json_field('payload', 'created'), 'bigint') }} as changed_epoch
    from {{ computed_once('landed') }}

),

in_units as (

    select
        read.*,
        currencies.minor_unit
    from read
    left join {{ ref('currencies') }} as currencies
        on read.currency = currencies.currency

),

typed as (

    select
        in_units.*,
        -- Stripe's amounts are in the currency's smallest unit: cents of a dollar, whole yen.
        round(minor_amount / power(cast(10 as numeric), coalesce(minor_unit, 2)), 4) as amount,
        case
            when charge_status = 'succeeded' and minor_refunded >= minor_amount and minor_refunded > 0 then 'refunded'
            when charge_status = 'succeeded' and is_captured then 'captured'
            when charge_status in ('succeeded', 'pending') then 'authorized'
            when charge_status = 'failed' then 'failed'
        end as status,
        -- Up to 2100: what is later is no time.
        case when paid_epoch between 0 and 4102444799 then {{ dbt.dateadd('second', 'paid_epoch', epoch) }} end as paid_at,
        case when changed_epoch between 0 and 4102444799 then {{ dbt.dateadd('second', 'changed_epoch', epoch) }} end as changed_at
    from {{ computed_once('in_units') }}

)

select
    'stripe-' || source_payment_id as payment_id,
    source_payment_id,
    -- Charges of the web shop: its order's number is in their metadata.
    case when not {{ is_no_id('source_order_id') }} then 'web-' || source_order_id end as order_id,
    cast(null as varchar) as refunds_payment_id,
    coalesce(method, 'unknown') as method,
    cast(null as integer) as installments,
    amount,
    minor_refunded,
    currency,
    status,
    paid_at,
    {{ version_at('changed_at', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The event is not a JSON object.'),
        ('payment_id_malformed', 'type', 'error', 'source_payment_id is null or ' ~ is_no_id('source_payment_id'), 'The event has no charge with an id of at most 200 printable characters.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The charge has no order_id of at most 200 printable characters in its metadata.'),
        ('amount_impossible', 'range', 'error', 'amount is null or ' ~ is_no_amount('amount'), 'The amount is missing, below zero, or 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'minor_unit is null', 'The currency is not in seeds/currencies.csv.'),
        ('status_unknown', 'reference', 'error', 'status is null', 'The status is not succeeded, pending or failed.'),
        ('paid_at_impossible', 'range', 'error', 'paid_at is null or ' ~ is_no_date('paid_at'), 'The charge has no time, or one before 2000 or after 2099.'),
        ('changed_at_impossible', 'range', 'error', 'changed_at is null or changed_at > _latest_at', 'Its last change has no time, or one in the future.'),
    ], of_key=['record_unreadable', 'payment_id_malformed'], is_deleted="_op = 'd'") }}
from typed
