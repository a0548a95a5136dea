{# Grain: one row per landed row of trade.purchase_line, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'order_items'),
        'purchase_no pos article_no pieces cents rebate_cents shipping_cents modified _op'
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('purchase_no') }} as source_order_id,
        {{ exact_id('article_no') }} as product_id
    from {{ computed_once('landed') }}

)

select
    'web-' || source_order_id as order_id,
    pos as line_number,
    product_id,
    cast(null as varchar) as seller_id,
    pieces as quantity,
    cast(cents / 100.0 as numeric(20, 2)) as unit_price,
    cast(coalesce(rebate_cents, 0) / 100.0 as numeric(20, 2)) as discount_amount,
    cast(coalesce(shipping_cents, 0) / 100.0 as numeric(20, 2)) as freight_amount,
    cast(null as timestamptz) as ship_by_at,
    cast(modified as timestamptz) as created_at,
    {{ version_at('cast(modified as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id || '/' || pos as _key,
    _record,
    {{ judge([
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The line has no order.'),
        ('line_number_missing', 'missing', 'error', 'pos is null', 'The line has no number.'),
        ('product_id_malformed', 'type', 'error', 'product_id is null or ' ~ is_no_id('product_id'), 'The line has no product with a number of at most 200 printable characters.'),
        ('quantity_impossible', 'range', 'error', 'pieces is null or pieces < 1 or pieces > 999999', 'The quantity is missing, below one, or a million or more.'),
        ('unit_price_missing', 'missing', 'error', 'cents is null', 'The line has no price.'),
        ('amount_impossible', 'range', 'error', is_no_amount('cents') ~ ' or ' ~ is_no_amount('rebate_cents') ~ ' or ' ~ is_no_amount('shipping_cents'), 'An amount of the line is below zero, or a million or more.'),
        ('discount_above_price', 'range', 'error', 'cents >= 0 and rebate_cents > cast(pieces as numeric) * cents', 'The discount is higher than the price of the goods.'),
        ('changed_in_future', 'range', 'error', 'cast(modified as timestamptz) > _latest_at', 'Its last change is in the future.'),
    ], of_key=['order_id_missing', 'line_number_missing'], is_deleted="_op = 'd'") }}
from typed
