{% macro as_amount(expression, minor_unit) -%}
    {#- An amount in its currency, rounded once: to the decimals that the currency has (USD 2, JPY 0, KWD 3). -#}
    cast(round({{ expression }}, {{ minor_unit }}) as numeric(20, 4))
{%- endmacro %}
