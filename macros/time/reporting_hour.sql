{% macro reporting_hour(timestamp) -%}
    {{ return(adapter.dispatch('reporting_hour')(timestamp)) }}
{%- endmacro %}

{% macro postgres__reporting_hour(timestamp) -%}
    cast(extract(hour from {{ timestamp }} at time zone '{{ var('reporting_time_zone') }}') as integer)
{%- endmacro %}
