{% macro is_no_amount(number) -%}
    {#- True for a number that is negative, at least 100 million, or NaN. -#}
    ({{ number }} < 0 or {{ number }} >= 100000000)
{%- endmacro %}
