{% macro exact_id(expression) -%}
    {#- To the letter: `47503J` and `47503J ` are two products of a shop that has both, and a line says which of them it sold. -#}
    case when {{ trimmed(expression) }} != '' then cast({{ expression }} as varchar) end
{%- endmacro %}
