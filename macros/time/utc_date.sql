{% macro utc_date(timestamp) -%}
    {{ return(adapter.dispatch('utc_date')(timestamp)) }}
{%- endmacro %}

{% macro postgres__utc_date(timestamp) -%}
    cast({{ timestamp }} at time zone 'UTC' as date)
{%- endmacro %}
