{% macro reporting_date(timestamp) -%}
    {{ return(adapter.dispatch('reporting_date')(timestamp)) }}
{%- endmacro %}

{% macro postgres__reporting_date(timestamp) -%}
    cast({{ timestamp }} at time zone '{{ var('reporting_time_zone') }}' as date)
{%- endmacro %}
