{% macro narrowed(relation, column, tens) -%}
    {#-
        The rows of a table whose indexed column is one of many keys. Ten neighbouring keys are looked up at a time, because
        they share pages of the index. Ten, because the planner assumes ten elements for an array in a join: so its
        estimates are right.
    -#}
    select narrowed.* from {{ tens }} as tens inner join {{ relation }} as narrowed on narrowed.{{ column }} = any(tens.keys)
{%- endmacro %}
