{% macro json_id(document, path) -%}
    {{ exact_id(json_text(document, path)) }}
{%- endmacro %}
