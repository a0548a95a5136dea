{% macro seconds_between(from_timestamp, until_timestamp) -%}
    {{ return(adapter.dispatch('seconds_between')(from_timestamp, until_timestamp)) }}
{%- endmacro %}

{% macro postgres__seconds_between(from_timestamp, until_timestamp) -%}
    cast(extract(epoch from {{ until_timestamp }} - {{ from_timestamp }}) as numeric(12, 3))
{%- endmacro %}
