{# Grain: one row per landed row of the shop's customers, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'customers')) }}

),

typed as (

    select
        landed.*,
        trim(cast(customer_id as varchar)) as source_customer_id,
        {{ clean_code('country') }} as country_code
    from landed

)

select
    'web-' || source_customer_id as customer_id,
    source_customer_id,
    email,
    full_name,
    address,
    postal_code,
    city,
    region as state,
    country_code as country,
    cast(created_at as timestamptz) as created_at,
    cast(updated_at as timestamptz) as updated_at,
    coalesce(cast(updated_at as timestamptz), cast('1900-01-01' as timestamptz)) as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_customer_id as _key,
    _record,
    {{ judge([
        ('customer_id_missing', 'missing', 'error', "source_customer_id is null or source_customer_id = ''", 'The customer has no id.'),
        ('changed_in_future', 'range', 'error', 'cast(updated_at as timestamptz) > _latest_at', 'Its last change is later than its load can have seen.'),
        ('created_in_future', 'range', 'warn', 'created_at > _latest_at', 'The customer registered later than the load can have seen.'),
        ('email_missing', 'missing', 'warn', "coalesce(trim(email), '') = ''", 'The customer has no e-mail address.'),
        ('email_malformed', 'type', 'warn', "trim(email) != '' and trim(email) not like '_%@_%'", 'The e-mail address has no @ between two parts.'),
        ('country_missing', 'missing', 'warn', 'country_code is null', 'The customer has no country: sales count as region other.'),
        ('country_unknown', 'reference', 'warn', 'country_code not in (select country from ' ~ ref('countries') ~ ')', 'The country is not in seeds/countries.csv: sales count as region other.'),
    ]) }}
from typed
