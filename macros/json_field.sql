{% macro json_field(document, path) -%}
    {{ return(adapter.dispatch('json_field')(document, path)) }}
{%- endmacro %}

{% macro postgres__json_field(document, path) -%}
    nullif(trim({{ document }} #>> '{ {{- path | replace('.', ',') -}} }'), '')
{%- endmacro %}
