{% macro as_price(expression) -%}
    {#- A price, or an amount that is not rounded yet: as exact as the source gives it, to ten decimals. -#}
    cast({{ expression }} as numeric(20, 10))
{%- endmacro %}
