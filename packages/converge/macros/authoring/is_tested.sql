{% macro is_tested(relation) -%}
    {#-
        For a test's `where`: in a run, the rows that changed since the last run that ended well; in `dbt test`, all.
        The log of changes is kept until a run ends well, so what a failed run left untested the next one tests.
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
