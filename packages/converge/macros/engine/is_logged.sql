{% macro is_logged(relation) -%}
    {#- True when the table has changed since it was created. Its first rows are not in its log. -#}
    {%- set found = run_query(
        "select 1 from " ~ converge.state_table('inputs') ~ " where input = '(self)' and bound > 1"
        ~ " and relation = to_regclass('" ~ relation.include(database=false) ~ "')"
    ) -%}
    {{ return(found.rows | length > 0) }}
{%- endmacro %}
