{% macro possible_size(number) -%}
    case when not {{ is_no_amount(number) }} then cast({{ number }} as numeric(12, 3)) end
{%- endmacro %}
