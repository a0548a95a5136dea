{% macro is_no_amount(number) -%}
    {#- True for a number below zero, of 100 million or more, or NaN. -#}
    ({{ number }} < 0 or {{ number }} >= 100000000)
{%- endmacro %}
