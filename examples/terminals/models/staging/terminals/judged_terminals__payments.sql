{# Grain: one row per landed line of the card terminals' export, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('terminals', 'payments'), 'payload', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'id') }} as source_payment_id,
        {{ json_id('payload', 'order') }} as source_order_id,
        {{ try_cast(json_field('payload', 'minor_amount'), 'numeric') }} as minor_amount,
        {{ clean_code(json_field('payload', 'currency')) }} as currency,
        {{ clean_code(json_field('payload', 'state'), 'lower') }} as terminal_state,
        {{ try_cast(json_field('payload', 'paid_at'), 'timestamptz') }} as paid_at,
        {{ try_cast(json_field('payload', 'changed_at'), 'timestamptz') }} as changed_at,
        coalesce({{ json_field('payload', 'void') }} = 'true', false) as is_void
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
        -- In the currency's smallest unit: cents of a dollar, whole yen.
        round(minor_amount / power(cast(10 as numeric), coalesce(minor_unit, 2)), 4) as amount,
        case terminal_state
            when 'approved' then 'authorized'
            when 'settled' then 'captured'
            when 'reversed' then 'refunded'
            when 'declined' then 'failed'
        end as status
    from {{ computed_once('in_units') }}

)

select
    'terminal-' || source_payment_id as payment_id,
    source_payment_id,
    case when not {{ is_no_id('source_order_id') }} then 'shopify-' || source_order_id end as order_id,
    amount,
    currency,
    status,
    paid_at,
    {{ version_at('changed_at', 'is_void') }} as _version_at,
    is_void as _is_deleted,
    _load_id,
    _row,
    source_payment_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The line is not a JSON object.'),
        ('payment_id_malformed', 'type', 'error', 'source_payment_id is null or ' ~ is_no_id('source_payment_id'), 'The payment has no id of at most 200 printable characters.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The payment has no order with an id of at most 200 printable characters.'),
        ('amount_impossible', 'range', 'error', 'amount is null or ' ~ is_no_amount('amount'), 'The amount is missing, below zero, or 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'minor_unit is null', 'The currency is not in seeds/currencies.csv.'),
        ('status_unknown', 'reference', 'error', 'status is null', 'The state is none of those that judged_terminals__payments translates.'),
        ('paid_at_impossible', 'range', 'error', 'paid_at is null or ' ~ is_no_date('paid_at'), 'The payment has no time, or one before 2000 or after 2099.'),
        ('changed_at_impossible', 'range', 'error', 'changed_at is null or changed_at > _latest_at', 'Its last change has no time, or one in the future.'),
    ], of_key=['record_unreadable', 'payment_id_malformed'], is_deleted='is_void') }}
from typed
