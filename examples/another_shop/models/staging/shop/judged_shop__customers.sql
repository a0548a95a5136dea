{# Grain: one row per landed row of trade.client, judged. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('shop', 'customers'), 'client_no mail client_name street zip town land since modified _op') }}

),

typed as (

    select
        landed.*,
        {{ exact_id('client_no') }} as source_customer_id,
        {{ clean_code('land') }} as country
    from {{ computed_once('landed') }}

)

select
    'web-' || source_customer_id as customer_id,
    source_customer_id,
    {{ clean_text('mail') }} as email,
    {{ clean_text('client_name') }} as full_name,
    {{ clean_text('street') }} as address,
    {{ clean_text('zip') }} as postal_code,
    {{ clean_text('town') }} as city,
    -- The shop has no states.
    cast(null as varchar) as state,
    country,
    cast(since as timestamptz) as created_at,
    cast(modified as timestamptz) as updated_at,
    {{ version_at('cast(modified as timestamptz)', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_customer_id as _key,
    _record,
    {{ judge([
        ('customer_id_missing', 'missing', 'error', 'source_customer_id is null', 'The customer has no number.'),
        ('changed_in_future', 'range', 'error', 'cast(modified as timestamptz) > _latest_at', 'Its last change is in the future.'),
        ('country_unknown', 'reference', 'warn', 'country not in (select country from ' ~ ref('countries') ~ ')', 'The country is not in seeds/countries.csv: sales count as region other.'),
    ], of_key=['customer_id_missing'], is_deleted="_op = 'd'") }}
from typed
