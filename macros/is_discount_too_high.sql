{% macro is_discount_too_high(discount, quantity, price) -%}
    {#-
        True when more is taken off than the goods cost, of a line that gives goods back likewise. To the cent: a discount
        is rounded. Amounts that are wrong by themselves have that as their one reason.
    -#}
    (
        {{ quantity }} != 0
        and {{ price }} >= 0
        and abs({{ discount }}) < 100000000
        and round(abs(cast({{ discount }} as numeric)), 2) > round(abs({{ quantity }} * cast({{ price }} as numeric)), 2)
    )
{%- endmacro %}
