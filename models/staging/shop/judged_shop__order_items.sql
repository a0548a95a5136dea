{# Grain: one row per landed row of the shop's order items, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'order_items'),
        'order_id line_number product_id quantity unit_price discount_amount freight_amount created_at updated_at _op',
        optional={'seller_id': 'varchar', 'ship_by_at': 'timestamptz'}
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('order_id') }} as source_order_id,
        {{ exact_id('product_id') }} as exact_product_id,
        {{ exact_id('seller_id') }} as exact_seller_id
    from {{ computed_once('landed') }}

)

select
    'web-' || source_order_id as order_id,
    line_number,
    exact_product_id as product_id,
    case when not {{ is_no_id('exact_seller_id') }} then exact_seller_id end as seller_id,
    quantity,
    unit_price,
    coalesce(discount_amount, 0) as discount_amount,
    coalesce(freight_amount, 0) as freight_amount,
    {{ possible_time('ship_by_at') }} as ship_by_at,
    cast(created_at as timestamptz) as created_at,
    {{ version_at('cast(updated_at as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id || '/' || line_number as _key,
    _record,
    {{ judge([
        ('order_id_missing', 'missing', 'error', 'source_order_id is null', 'The line has no order.'),
        ('order_id_malformed', 'type', 'error', is_no_id('source_order_id'), 'An id is at most 200 printable characters.'),
        ('line_number_missing', 'missing', 'error', 'line_number is null', 'The line has no number.'),
        ('line_number_out_of_range', 'range', 'error', 'line_number not between 0 and 999999', 'The line number is below zero, a million or more.'),
        ('line_number_not_whole', 'type', 'error', 'line_number != trunc(line_number)', 'The line number is not a whole number.'),
        ('product_id_missing', 'missing', 'error', 'exact_product_id is null', 'The line has no product.'),
        ('product_id_malformed', 'type', 'error', is_no_id('exact_product_id'), 'An id is at most 200 printable characters.'),
        ('quantity_missing', 'missing', 'error', 'quantity is null', 'The line has no quantity.'),
        ('quantity_not_whole', 'type', 'error', 'quantity != trunc(quantity)', 'The quantity is not a whole number.'),
        ('quantity_zero', 'range', 'error', 'quantity = 0', 'The quantity is zero.'),
        ('quantity_absurd', 'range', 'error', 'quantity not between -999999 and 999999', 'The quantity is a million or more, or as far below zero.'),
        ('unit_price_missing', 'missing', 'error', 'unit_price is null', 'The line has no price.'),
        ('unit_price_negative', 'range', 'error', 'unit_price < 0', 'The price is below zero.'),
        ('unit_price_absurd', 'range', 'error', 'unit_price >= 100000000', 'The price is 100 million or more.'),
        ('line_absurd', 'range', 'error', is_line_absurd('quantity', 'unit_price'), 'The amount of the line is 100 million or more.'),
        ('amount_negative', 'range', 'error', 'quantity > 0 and (discount_amount < 0 or freight_amount < 0)', 'The discount or the freight is below zero.'),
        ('discount_not_taken_back', 'range', 'error', 'quantity < 0 and discount_amount > 0', 'The line gives goods back and its discount is above zero: it must be below.'),
        ('amount_absurd', 'range', 'error', 'abs(discount_amount) >= 100000000 or abs(freight_amount) >= 100000000', 'The discount or the freight is 100 million or more.'),
        ('discount_above_price', 'range', 'error', is_discount_too_high('discount_amount', 'quantity', 'unit_price'), 'The discount is higher than the price of the goods.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('seller_id_malformed', 'type', 'warn', is_no_id('exact_seller_id'), 'The id of the seller is not at most 200 printable characters: read as unknown.'),
        ('ship_by_at_impossible', 'range', 'warn', is_no_date('ship_by_at'), 'The last time to ship is before 2000 or after 2099: read as unknown.'),
    ], of_key=['order_id_missing', 'order_id_malformed', 'line_number_missing', 'line_number_out_of_range', 'line_number_not_whole'], is_deleted="_op = 'd'") }}
from typed
