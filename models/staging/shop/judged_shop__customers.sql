{# Grain: one row per landed row of the shop's customers, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    select * from {{ converge.landed(source('shop', 'customers')) }} as landed

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
    to_jsonb(typed) as _record,
    {{ judge([
        ('customer_id_missing', 'error', "source_customer_id is null or source_customer_id = ''", 'The customer has no id.'),
        ('email_missing', 'warn', "coalesce(email, '') = ''", 'The customer has no e-mail address.'),
        ('country_missing', 'warn', 'country_code is null', 'The customer has no country: sales count as region other.'),
    ]) }}
from typed
