{% macro same_columns(table, sql) -%}
    {%- set probe = run_query('select * from (' ~ sql ~ ') as model limit 0').column_names -%}
    {{ return(probe | sort | list == converge.columns_of(table) | sort | list) }}
{%- endmacro %}
