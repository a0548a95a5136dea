{% macro narrowed(relation, column, plan) -%}
    {#-
        The rows of a table whose indexed column is a touched key. Ten keys a probe, neighbours together: they share the
        index's pages. Ten, because that is what the planner takes an array in a join for: its estimates stay right.
    -#}
    select narrowed.* from {{ plan.tens_table }} as tens inner join {{ relation }} as narrowed on narrowed.{{ column }} = any(tens.keys)
{%- endmacro %}
