{% macro json_text(document, path) -%}
    {{ return(adapter.dispatch('json_text')(document, path)) }}
{%- endmacro %}

{% macro postgres__json_text(document, path) -%}
    ({{ document }} #>> '{ {{- path | replace('.', ',') -}} }')
{%- endmacro %}
