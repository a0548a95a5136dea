{% macro as_amount(expression, minor_unit) -%}
    {#- Call it once per amount, and sum the rounded values. A currency that is not in the seed has two decimals, like most. -#}
    cast(round({{ expression }}, coalesce({{ minor_unit }}, 2)) as numeric(20, 4))
{%- endmacro %}
