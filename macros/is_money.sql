{% macro is_money(expression) -%}
    {#- True for a decimal number from 0 to under 100 million. -#}
    ({{ expression }}) ~ '^[0-9]{1,8}(\.[0-9]{1,10})?$'
{%- endmacro %}
