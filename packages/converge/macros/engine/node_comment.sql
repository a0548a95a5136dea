{% macro node_comment() -%}
    {#-
        What ends a statement that others follow in the same call: pg_stat_statements knows each by its own text, without what
        stands before it. The last has dbt's own comment, with `query-comment: {append: true}`.
    -#}
    /* {"node_id": "{{ model.unique_id }}", "target_name": "{{ target.name }}"} */
{%- endmacro %}
