{# Grain: one row per landed line of the stores' sales files, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('stores', 'sales'), 'payload', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'store_id') }} as store_id,
        {{ json_id('payload', 'receipt_id') }} as receipt_id,
        {{ json_field('payload', 'line_number') }} as line_number_text,
        {{ json_field('payload', 'sold_at') }} as sold_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text,
        {{ clean_code(json_field('payload', 'region'), 'lower') }} as region,
        {{ clean_code(json_field('payload', 'country')) }} as country,
        {{ json_id('payload', 'product_id') }} as product_id,
        {{ json_field('payload', 'quantity') }} as quantity_text,
        {{ json_field('payload', 'unit_price') }} as unit_price_text,
        {{ json_field('payload', 'discount_amount') }} as discount_text,
        {{ clean_code(json_field('payload', 'currency')) }} as source_currency,
        {{ clean_code(json_field('payload', 'payment_method'), 'lower') }} as payment_method,
        {{ json_id('payload', 'customer_id') }} as source_customer_id,
        {{ json_field('payload', 'is_void') }} as void_text
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        coalesce(lower(void_text) = 'true', false) as is_void,
        {{ try_cast('line_number_text', 'numeric') }} as line_number,
        {{ try_cast('sold_at_text', 'timestamptz') }} as sold_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at,
        {{ try_cast('quantity_text', 'numeric') }} as quantity,
        {{ try_cast('unit_price_text', 'numeric') }} as unit_price,
        coalesce({{ try_cast('discount_text', 'numeric') }}, 0) as discount_amount,
        coalesce(source_currency, 'USD') as currency
    from {{ computed_once('read') }}

)

select
    'store-' || store_id || '/' || receipt_id as order_id,
    store_id,
    receipt_id,
    'store-' || store_id || '/' || {{ json_id('payload', 'credited_receipt_id') }} as credited_order_id,
    line_number,
    'web-' || source_customer_id as customer_id,
    region,
    country,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    currency,
    coalesce(payment_method, 'unknown') as payment_method,
    sold_at,
    updated_at,
    {{ version_at('case when is_void then updated_at else coalesce(updated_at, sold_at) end', 'is_void') }} as _version_at,
    is_void as _is_deleted,
    _load_id,
    _row,
    store_id || '/' || receipt_id || '/' || line_number_text as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The line of the file could not be read.'),
        ('store_id_missing', 'missing', 'error', 'store_id is null', 'The line has no store.'),
        ('store_id_malformed', 'type', 'error', is_no_id('store_id') ~ " or store_id like '%/%'", 'The id of a store is at most 200 printable characters other than /.'),
        ('receipt_id_missing', 'missing', 'error', 'receipt_id is null', 'The line has no receipt.'),
        ('receipt_id_malformed', 'type', 'error', is_no_id('receipt_id'), 'An id is at most 200 printable characters.'),
        ('line_number_missing', 'missing', 'error', 'line_number_text is null', 'The line has no number.'),
        ('line_number_unreadable', 'type', 'error', is_not_a('whole number', 'line_number_text'), 'The line number is not a whole number.'),
        ('line_number_out_of_range', 'range', 'error', 'line_number not between 0 and 999999', 'The line number is below zero, a million or more.'),
        ('sold_at_missing', 'missing', 'error', 'sold_at_text is null', 'The line has no time of the sale.'),
        ('sold_at_unreadable', 'type', 'error', is_not_a('time', 'sold_at_text'), 'The time of the sale is not a time.'),
        ('sold_at_impossible', 'range', 'error', is_no_date('sold_at'), 'The date of the sale is before 2000 or after 2099.'),
        ('sold_in_future', 'range', 'error', is_in_future('sold_at'), 'The date of the sale is in the future: later than its load can have read.'),
        ('updated_at_unreadable', 'type', 'error', is_not_a('time', 'updated_at_text'), 'The time of the change is not a time.'),
        ('changed_in_future', 'range', 'error', 'updated_at > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('changed_before_interval', 'range', 'error', "coalesce(updated_at, sold_at) < _earliest_at and (updated_at is not null or sold_at >= '2000-01-01')", 'Its last change is far older than the interval of its load.'),
        ('void_unreadable', 'type', 'error', is_not_a('flag', 'void_text'), '`is_void` must be true or false.'),
        ('region_missing', 'missing', 'error', 'region is null', 'The line has no region.'),
        ('region_unknown', 'reference', 'error', "region not in ('us', 'eu', 'apac', 'mea')", 'The region is not us, eu, apac or mea.'),
        ('product_id_missing', 'missing', 'error', 'product_id is null', 'The line has no product.'),
        ('product_id_malformed', 'type', 'error', is_no_id('product_id'), 'An id is at most 200 printable characters.'),
        ('quantity_missing', 'missing', 'error', 'quantity_text is null', 'The line has no quantity.'),
        ('quantity_unreadable', 'type', 'error', is_not_a('whole number', 'quantity_text'), 'The quantity is not a whole number.'),
        ('quantity_out_of_range', 'range', 'error', 'quantity = 0 or quantity not between -999999 and 999999', 'The quantity is zero, a million or more, or minus a million or less.'),
        ('unit_price_missing', 'missing', 'error', 'unit_price_text is null', 'The line has no price.'),
        ('unit_price_unreadable', 'type', 'error', is_not_a('number', 'unit_price_text'), 'The price is not a number.'),
        ('unit_price_out_of_range', 'range', 'error', is_no_amount('unit_price'), 'The price is below zero, or 100 million or more.'),
        ('line_absurd', 'range', 'error', is_line_absurd('quantity', 'unit_price'), 'The amount of the line is 100 million or more.'),
        ('discount_unreadable', 'type', 'error', is_not_a('number', 'discount_text'), 'The discount is not a number.'),
        ('discount_out_of_range', 'range', 'error', is_no_amount("case when quantity < 0 then -discount_amount else discount_amount end"), 'The discount is below zero, or 100 million or more. On a line that takes goods back, it is above zero.'),
        ('discount_above_price', 'range', 'error', is_discount_too_high('discount_amount', 'quantity', 'unit_price'), 'The discount is higher than the price of the goods.'),
        ('currency_unknown', 'reference', 'error', 'currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('customer_id_malformed', 'type', 'error', is_no_id('source_customer_id'), 'An id is at most 200 printable characters.'),
        ('currency_missing', 'missing', 'warn', 'source_currency is null', 'The line has no currency: read as USD.'),
    ], of_key=['record_unreadable', 'store_id_missing', 'store_id_malformed', 'receipt_id_missing', 'receipt_id_malformed', 'line_number_missing', 'line_number_unreadable', 'line_number_out_of_range'], is_deleted="is_void") }}
from typed
