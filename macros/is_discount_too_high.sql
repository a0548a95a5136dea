{% macro is_discount_too_high(discount, quantity, price) -%}
    {#- True when more is taken off than the goods cost, of a line that gives goods back likewise. To the cent: a discount is rounded. -#}
    (round(abs(cast({{ discount }} as numeric)), 2) > round(abs({{ quantity }} * cast({{ price }} as numeric)), 2))
{%- endmacro %}
