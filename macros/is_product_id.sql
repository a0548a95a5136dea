{% macro is_product_id(expression) -%}
    {{ return(adapter.dispatch('is_product_id')(expression)) }}
{%- endmacro %}

{% macro postgres__is_product_id(expression) -%}
    ({{ expression }} ~ '^[A-Za-z0-9_-]+$' and length({{ expression }}) <= 64)
{%- endmacro %}
