{# Grain: one row per landed row of the shop's products, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'products')) }}

),

typed as (

    select
        landed.*,
        trim(cast(product_id as varchar)) as clean_product_id,
        coalesce({{ clean_code('currency') }}, 'USD') as currency_code
    from landed

)

select
    clean_product_id as product_id,
    name,
    {{ clean_code('category', 'lower') }} as category,
    price,
    currency_code as currency,
    is_active,
    cast(created_at as timestamptz) as created_at,
    cast(updated_at as timestamptz) as updated_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    clean_product_id as _key,
    _record,
    {{ judge([
        ('product_id_missing', 'missing', 'error', "clean_product_id is null or clean_product_id = ''", 'The product has no id.'),
        ('product_id_malformed', 'type', 'error', "clean_product_id != '' and not " ~ is_product_id('clean_product_id'), 'A product id is letters, digits, - and _, 64 at most.'),
        ('price_negative', 'range', 'error', 'price < 0', 'The price is below zero.'),
        ('price_absurd', 'range', 'error', 'price >= 100000000', 'The price is 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('price_missing', 'missing', 'warn', 'price is null', 'The product has no price.'),
    ]) }}
from typed
