{# Grain: one row per customer of the shop or buyer of the marketplace, as they are now. #}
{{ config(unique_key='customer_id') }}

{% call converge.touched('customer_id') %}
    select customer_id from {{ converge.changes(ref('stg_shop__customers')) }}
    union all
    select customer_id from {{ converge.changes(ref('stg_marketplace__buyers')) }}
{% endcall %}

with web as (

    select
        customer_id,
        'web' as origin,
        email,
        full_name,
        postal_code,
        city,
        state,
        country,
        created_at
    from {{ converge.touched_rows(ref('stg_shop__customers'), 'customer_id') }} as touched
    where not _is_deleted

),

marketplace as (

    select
        customer_id,
        'marketplace' as origin,
        email,
        full_name,
        cast(null as varchar) as postal_code,
        city,
        cast(null as varchar) as state,
        country,
        created_at
    from {{ converge.touched_rows(ref('stg_marketplace__buyers'), 'customer_id') }} as touched

),

unioned as (

    select * from web
    union all
    select * from marketplace

)

select
    unioned.customer_id,
    cast(unioned.origin as varchar) as origin,
    {{ mask('unioned.email') }} as email,
    {{ mask('unioned.full_name') }} as full_name,
    {{ mask('unioned.postal_code') }} as postal_code,
    cast(unioned.city as varchar) as city,
    cast(unioned.state as varchar) as state,
    cast(unioned.country as varchar) as country,
    cast(coalesce(countries.region, 'other') as varchar) as region,
    unioned.created_at
from unioned
left join {{ ref('countries') }} as countries
    on unioned.country = countries.country
