{% macro same_bytes(columns, one='old', other='new') -%}
    {#- The same bytes, not only equal values: 1.0 is not 1.00, -0 is not 0, and json has no equality. -#}
    record_image_eq(row({{ converge.each(columns, one ~ '.{}', ', ') }}), row({{ converge.each(columns, other ~ '.{}', ', ') }}))
{%- endmacro %}
