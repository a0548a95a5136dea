{% macro clean_code(expression, letters='upper') -%}
    nullif({{ letters }}(trim({{ expression }})), '')
{%- endmacro %}
