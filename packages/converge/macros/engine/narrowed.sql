{% macro narrowed(relation, column, tens) -%}
    {#-
        The rows of a table whose indexed column is one of many keys. Ten keys a probe, neighbours together: they share the
        index's pages. Ten, because that is what the planner takes an array in a join for: its estimates stay right.
    -#}
    select narrowed.* from {{ tens }} as tens inner join {{ relation }} as narrowed on narrowed.{{ column }} = any(tens.keys)
{%- endmacro %}
