{% macro as_price(expression, of_judged=false) -%}
    {#- A price, or an amount that is not rounded yet: as exact as the source gives it, to ten decimals. -#}
    {%- set type = 'numeric(20, 10)' -%}
    {{ cast_accepted(expression, type) if of_judged else 'cast(' ~ expression ~ ' as ' ~ type ~ ')' }}
{%- endmacro %}
