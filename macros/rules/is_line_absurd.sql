{% macro is_line_absurd(quantity, price) -%}
    {#-
        True when a line whose quantity and price are possible comes to 100 million or more: a million such lines of an order
        would be more than the marts' amounts can hold.
    -#}
    (
        {{ quantity }} between -999999 and 999999
        and {{ price }} >= 0
        and {{ price }} < 100000000
        and abs(cast({{ quantity }} as numeric)) * cast({{ price }} as numeric) >= 100000000
    )
{%- endmacro %}
