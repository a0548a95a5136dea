{% macro months_in(from_date, until_date) -%}
    {{ return(adapter.dispatch('months_in')(from_date, until_date)) }}
{%- endmacro %}

{% macro postgres__months_in(from_date, until_date) -%}
    lateral (
        select cast(first_days.first_day as date) as month
        from generate_series(
            date_trunc('month', cast({{ from_date }} as timestamp)), cast({{ until_date }} as timestamp) - interval '1 day', interval '1 month'
        ) as first_days (first_day)
    )
{%- endmacro %}
