{# Grain: one row per landed line of the stores' sales files, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    select * from {{ converge.landed(source('stores', 'sales')) }} as landed

),

read as (

    select
        landed.*,
        {{ json_field('payload', 'store_id') }} as store_id,
        {{ json_field('payload', 'receipt_id') }} as receipt_id,
        {{ json_field('payload', 'line_number') }} as line_number_text,
        {{ json_field('payload', 'sold_at') }} as sold_at_text,
        {{ json_field('payload', 'updated_at') }} as updated_at_text,
        {{ clean_code(json_field('payload', 'region'), 'lower') }} as region,
        {{ clean_code(json_field('payload', 'country')) }} as country,
        {{ json_field('payload', 'product_id') }} as product_id,
        {{ json_field('payload', 'quantity') }} as quantity_text,
        {{ json_field('payload', 'unit_price') }} as unit_price_text,
        {{ json_field('payload', 'discount_amount') }} as discount_text,
        {{ clean_code(json_field('payload', 'currency')) }} as source_currency,
        {{ clean_code(json_field('payload', 'payment_method'), 'lower') }} as payment_method,
        {{ json_field('payload', 'customer_id') }} as source_customer_id
    from landed

),

typed as (

    select
        read.*,
        {{ try_cast('line_number_text', 'integer') }} as line_number,
        {{ try_cast('sold_at_text', 'timestamptz') }} as sold_at,
        {{ try_cast('updated_at_text', 'timestamptz') }} as updated_at,
        {{ try_cast('quantity_text', 'numeric') }} as quantity,
        {{ try_cast('unit_price_text', 'numeric') }} as unit_price,
        coalesce(source_currency, 'USD') as currency
    from read

)

select
    'store-' || store_id || '/' || receipt_id as order_id,
    store_id,
    receipt_id,
    line_number,
    'web-' || source_customer_id as customer_id,
    region,
    country,
    product_id,
    quantity,
    unit_price,
    coalesce(case when {{ is_money('discount_text') }} then cast(discount_text as numeric) end, 0) as discount_amount,
    currency,
    coalesce(payment_method, 'unknown') as payment_method,
    sold_at,
    updated_at,
    coalesce(updated_at, sold_at, cast('1900-01-01' as timestamptz)) as _version_at,
    coalesce(lower({{ json_field('payload', 'is_void') }}) = 'true', false) as _is_deleted,
    _load_id,
    _row,
    store_id || '/' || receipt_id || '/' || line_number_text as _key,
    payload as _record,
    {{ judge([
        ('record_unreadable', 'error', "payload ->> '_unreadable' is not null", 'The line of the file could not be read.'),
        ('store_id_missing', 'error', 'store_id is null', 'The line has no store.'),
        ('receipt_id_missing', 'error', 'receipt_id is null', 'The line has no receipt.'),
        ('line_number_wrong', 'error', 'line_number is null', 'The line number is missing or not a number.'),
        ('sold_at_unreadable', 'error', 'sold_at is null', 'The time of the sale is missing or not a time.'),
        ('sold_at_impossible', 'error', "sold_at < '2000-01-01' or sold_at >= '2100-01-01'", 'The date of the sale is before 2000 or after 2099.'),
        ('sold_in_future', 'error', "sold_at > updated_at + interval '1 day'", 'The sale is more than a day after its last change.'),
        ('region_unknown', 'error', "region is null or region not in ('us', 'eu', 'apac')", 'The region is not us, eu or apac.'),
        ('product_id_missing', 'error', 'product_id is null', 'The line has no product.'),
        ('product_id_malformed', 'error', 'not ' ~ is_product_id('product_id'), 'A product id is letters, digits, - and _, 64 at most.'),
        ('quantity_wrong', 'error', 'quantity is null or quantity <= 0 or quantity >= 1000000 or quantity != trunc(quantity)', 'The quantity is not a whole number above zero.'),
        ('unit_price_wrong', 'error', 'unit_price is null or unit_price < 0 or unit_price >= 100000000', 'The price is missing, below zero or 100 million and more.'),
        ('discount_wrong', 'error', 'discount_text is not null and not ' ~ is_money('discount_text'), 'The discount is not an amount of zero or more.'),
        ('discount_above_price', 'error', 'case when ' ~ is_money('discount_text') ~ ' then round(cast(discount_text as numeric), 2) > quantity * round(unit_price, 2) end', 'The discount is higher than the price of the goods.'),
        ('currency_unknown', 'error', 'currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('currency_missing', 'warn', 'source_currency is null', 'The line has no currency: read as USD.'),
    ]) }}
from typed
