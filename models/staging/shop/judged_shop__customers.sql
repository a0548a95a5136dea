{# Grain: one row per landed row of the shop's customers, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'customers'), 'customer_id email full_name address postal_code city region country created_at updated_at _op') }}

),

typed as (

    select
        landed.*,
        {{ exact_id('customer_id') }} as source_customer_id,
        {{ clean_code('country') }} as country_code
    from {{ computed_once('landed') }}

)

select
    'web-' || source_customer_id as customer_id,
    source_customer_id,
    {{ clean_text('email') }} as email,
    {{ clean_text('full_name') }} as full_name,
    {{ clean_text('address') }} as address,
    {{ clean_text('postal_code') }} as postal_code,
    {{ clean_text('city') }} as city,
    {{ clean_text('region') }} as state,
    country_code as country,
    cast(created_at as timestamptz) as created_at,
    cast(updated_at as timestamptz) as updated_at,
    {{ version_at('cast(updated_at as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_customer_id as _key,
    _record,
    {{ judge([
        ('customer_id_missing', 'missing', 'error', 'source_customer_id is null', 'The customer has no id.'),
        ('customer_id_malformed', 'type', 'error', is_no_id('source_customer_id'), 'An id is at most 200 printable characters.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is in the future: later than its load can have read.'),
        ('created_in_future', 'range', 'warn', 'created_at > _latest_at', 'The customer registered in the future: later than its load can have read.'),
        ('email_missing', 'missing', 'warn', clean_text('email') ~ ' is null', 'The customer has no e-mail address.'),
        ('email_malformed', 'type', 'warn', clean_text('email') ~ " not like '_%@_%'", 'The e-mail address has no @ between two parts.'),
        ('country_missing', 'missing', 'warn', 'country_code is null', 'The customer has no country: sales count as region other.'),
        ('country_unknown', 'reference', 'warn', 'country_code not in (select country from ' ~ ref('countries') ~ ')', 'The country is not in seeds/countries.csv: sales count as region other.'),
    ], of_key=['customer_id_missing', 'customer_id_malformed'], is_deleted="_op = 'd'") }}
from typed
