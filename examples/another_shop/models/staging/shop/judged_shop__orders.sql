{# Grain: one row per landed row of trade.purchase, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'orders'),
        'purchase_no client_no state currency total_cents voucher bought sent received modified _op'
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('purchase_no') }} as source_order_id,
        {{ exact_id('client_no') }} as source_customer_id,
        -- The shop's words for the states, in those of seeds/order_statuses.csv.
        case cast(state as varchar)
            when 'open' then 'created'
            when 'paid' then 'approved'
            when 'sent' then 'shipped'
            when 'received' then 'delivered'
            when 'void' then 'canceled'
        end as source_status,
        {{ clean_code('currency') }} as currency_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_order_id as order_id,
    source_order_id,
    'web-' || source_customer_id as customer_id,
    cast(null as varchar) as credited_order_id,
    source_status,
    currency_code as currency,
    cast(total_cents / 100.0 as numeric(20, 2)) as stated_amount,
    {{ clean_text('voucher') }} as discount_code,
    cast(bought as timestamptz) as placed_at,
    cast(null as timestamptz) as approved_at,
    cast(sent as timestamptz) as shipped_at,
    cast(received as timestamptz) as delivered_at,
    cast(null as timestamptz) as estimated_delivery_at,
    cast(bought as timestamptz) as created_at,
    cast(modified as timestamptz) as updated_at,
    {{ version_at('cast(modified as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    _record,
    {{ judge([
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The order has no number.'),
        ('placed_at_missing', 'missing', 'error', 'bought is null', 'The order has no date.'),
        ('placed_at_impossible', 'range', 'error', is_no_date('bought'), 'The order date is before 2000 or after 2099.'),
        ('changed_in_future', 'range', 'error', 'cast(modified as timestamptz) > _latest_at', 'Its last change is in the future.'),
        ('status_unknown', 'reference', 'error', 'source_status is null', 'The state is none of those that judged_shop__orders translates.'),
        ('currency_unknown', 'reference', 'error', 'currency_code is null or currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_impossible', 'range', 'error', is_no_amount('total_cents'), 'The total is below zero, or a million or more.'),
    ], of_key=['order_id_missing'], is_deleted="_op = 'd'") }}
from typed
