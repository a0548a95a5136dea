{% macro reporting_midnight(date) -%}
    {{ return(adapter.dispatch('reporting_midnight')(date)) }}
{%- endmacro %}

{% macro postgres__reporting_midnight(date) -%}
    cast({{ date }} as timestamp) at time zone '{{ var('reporting_time_zone') }}'
{%- endmacro %}
