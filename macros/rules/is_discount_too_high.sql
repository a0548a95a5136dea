{% macro is_discount_too_high(discount, quantity, price) -%}
    {#-
        True when more is taken off than the goods cost, of a line that gives goods back likewise. To the cent: a discount is
        rounded, and a line doesn't know its currency. A price or a discount that is wrong by itself has its own reason.
    -#}
    (
        {{ price }} >= 0
        and abs({{ discount }}) < 100000000
        and cast({{ quantity }} as numeric) * cast({{ discount }} as numeric) > 0
        and round(abs(cast({{ discount }} as numeric)), 2) > round(abs(cast({{ quantity }} as numeric) * cast({{ price }} as numeric)), 2)
    )
{%- endmacro %}
