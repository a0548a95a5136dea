{% macro is_logged(relation) -%}
    {#- True when the table was written incrementally since it was made: its first content is in no log. -#}
    {%- set found = run_query(
        "select 1 from " ~ converge.state_table('inputs') ~ " where input = '(self)' and bound > 1"
        ~ " and relation = to_regclass('" ~ relation.include(database=false) ~ "')"
    ) -%}
    {{ return(found.rows | length > 0) }}
{%- endmacro %}
