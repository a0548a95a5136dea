{% macro utc_midnight(date) -%}
    {{ return(adapter.dispatch('utc_midnight')(date)) }}
{%- endmacro %}

{% macro postgres__utc_midnight(date) -%}
    cast({{ date }} as timestamp) at time zone 'UTC'
{%- endmacro %}
