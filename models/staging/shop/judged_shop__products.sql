{# Grain: one row per landed row of the shop's products, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(
        source('shop', 'products'),
        'product_id name category price currency is_active created_at updated_at _op',
        optional={'weight_g': 'numeric', 'length_cm': 'numeric', 'height_cm': 'numeric', 'width_cm': 'numeric'}
    ) }}

),

typed as (

    select
        landed.*,
        {{ exact_id('product_id') }} as exact_product_id,
        coalesce({{ clean_code('currency') }}, 'USD') as currency_code
    from {{ computed_once('landed') }}

)

select
    exact_product_id as product_id,
    {{ clean_text('name') }} as name,
    {{ clean_code('category', 'lower') }} as category,
    -- A deleted product stays in the marts, without a price that is not valid.
    case when not (_op = 'd' and {{ is_no_amount('price') }}) then price end as price,
    currency_code as currency,
    is_active,
    {{ possible_size('weight_g') }} as weight_g,
    {{ possible_size('length_cm') }} as length_cm,
    {{ possible_size('height_cm') }} as height_cm,
    {{ possible_size('width_cm') }} as width_cm,
    cast(created_at as timestamptz) as created_at,
    cast(updated_at as timestamptz) as updated_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    exact_product_id as _key,
    _record,
    {{ judge([
        ('product_id_missing', 'missing', 'error', 'exact_product_id is null', 'The product has no id.'),
        ('product_id_malformed', 'type', 'error', is_no_id('exact_product_id'), 'An id is at most 200 printable characters.'),
        ('price_negative', 'range', 'error', 'price < 0', 'The price is below zero.'),
        ('price_absurd', 'range', 'error', 'price >= 100000000', 'The price is 100 million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('price_missing', 'missing', 'warn', 'price is null', 'The product has no price.'),
        ('size_impossible', 'range', 'warn', is_no_amount('weight_g') ~ ' or ' ~ is_no_amount('length_cm') ~ ' or ' ~ is_no_amount('height_cm') ~ ' or ' ~ is_no_amount('width_cm'), 'The weight, length, height or width is below zero, or 100 million or more: read as unknown.'),
    ], of_key=['product_id_missing', 'product_id_malformed'], is_deleted="_op = 'd'") }}
from typed
