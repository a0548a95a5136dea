{% macro clean_code(expression, letters='upper') -%}
    {{ letters }}({{ clean_text(expression) }})
{%- endmacro %}
