{# Grain: one row per web customer and period in which nothing about them changed (SCD2). #}
{{ config(unique_key=['customer_id', 'valid_from']) }}

{% call converge.touched('customer_id') %}
    select customer_id from {{ converge.changes(ref('stg_shop__customer_versions')) }}
{% endcall %}

with versions as (

    select * from {{ converge.touched_rows(ref('stg_shop__customer_versions'), 'customer_id') }} as touched

),

compared as (

    select
        *,
        lag(email) over history as previous_email,
        lag(full_name) over history as previous_full_name,
        lag(city) over history as previous_city,
        lag(country) over history as previous_country,
        lag(_is_deleted) over history as previous_is_deleted
    from versions
    window history as (partition by customer_id order by _version_at)

),

changed as (

    select * from compared
    where
        previous_is_deleted is null
        or previous_is_deleted != _is_deleted
        or email is distinct from previous_email
        or full_name is distinct from previous_full_name
        or city is distinct from previous_city
        or country is distinct from previous_country

),

periods as (

    select
        *,
        lead(_version_at) over (partition by customer_id order by _version_at) as valid_until
    from changed

)

select
    periods.customer_id,
    periods._version_at as valid_from,
    periods.valid_until,
    periods.valid_until is null as is_current,
    {{ mask('periods.email') }} as email,
    {{ mask('periods.full_name') }} as full_name,
    cast(periods.city as varchar) as city,
    cast(periods.country as varchar) as country,
    cast(coalesce(countries.region, 'other') as varchar) as region
from periods
left join {{ ref('countries') }} as countries
    on periods.country = countries.country
where not periods._is_deleted
