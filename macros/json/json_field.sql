{% macro json_field(document, path) -%}
    {{ clean_text(json_text(document, path)) }}
{%- endmacro %}
