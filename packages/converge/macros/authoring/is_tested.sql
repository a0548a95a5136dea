{% macro is_tested(relation) -%}
    {#-
        For a test's `where` clause: in `dbt build`, rows that changed since the last successful run; in `dbt test`, all rows.
        Change logs are kept until a run succeeds, so that the next run tests what a failed run left untested.
    -#}
    {%- if execute and flags.WHICH in ('build', 'retry') and converge.is_logged(relation) -%}
        {%- set columns = [] -%}
        {%- for expression in varargs -%}
            {%- do columns.append(expression.split('.')[-1]) -%}
        {%- endfor -%}
        ({{ varargs | join(', ') }}) in (select {{ converge.each(columns, 'logged.{}', ', ') }} from {{ converge.changes_relation(relation) }} as logged)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
