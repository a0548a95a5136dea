{# Grain: one row per landed row of trade.article, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'products'), 'article_no title range price_cents currency on_sale added modified _op') }}

),

typed as (

    select
        landed.*,
        {{ exact_id('article_no') }} as product_id,
        {{ clean_code('currency') }} as currency_code
    from {{ computed_once('landed') }}

)

select
    product_id,
    {{ clean_text('title') }} as name,
    {{ clean_code('range', 'lower') }} as category,
    -- A deleted product stays in the marts, without a price that is not valid.
    cast(case when not (_op = 'd' and {{ is_no_amount('price_cents') }}) then price_cents / 100.0 end as numeric(20, 2)) as price,
    currency_code as currency,
    on_sale as is_active,
    -- The shop has no sizes.
    {%- for size in ['weight_g', 'length_cm', 'height_cm', 'width_cm'] %}
    cast(null as numeric(12, 3)) as {{ size }},
    {%- endfor %}
    cast(added as timestamptz) as created_at,
    cast(modified as timestamptz) as updated_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    product_id as _key,
    _record,
    {{ judge([
        ('product_id_malformed', 'type', 'error', 'product_id is null or ' ~ is_no_id('product_id'), 'The product has no number of at most 200 printable characters.'),
        ('price_impossible', 'range', 'error', is_no_amount('price_cents'), 'The price is below zero, or a million or more.'),
        ('currency_unknown', 'reference', 'error', 'currency_code not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
    ], of_key=['product_id_malformed'], is_deleted="_op = 'd'") }}
from typed
