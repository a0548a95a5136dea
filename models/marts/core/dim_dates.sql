{# Grain: one row per day, 2000 to 2099 and the day before and after: these years in UTC begin and end in them elsewhere. #}
{{ config(unique_key='date_day') }}

with days as (

    {{ dbt.date_spine('day', "cast('1999-12-31' as date)", "cast('2100-01-02' as date)") }}

)

select
    cast(date_day as date) as date_day,
    cast(extract(year from date_day) as integer) as year,
    cast(extract(quarter from date_day) as integer) as quarter,
    cast(extract(month from date_day) as integer) as month,
    cast(date_trunc('month', date_day) as date) as month_start,
    cast(extract(isodow from date_day) as integer) as weekday,
    extract(isodow from date_day) >= 6 as is_weekend
from days
