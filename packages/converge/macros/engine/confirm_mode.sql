{% macro confirm_mode(mode, plan, state) -%}
    {#-
        The mode, with what only the database can say: a table with other columns than the model gives is created anew, and
        where a parent's log no longer reaches back to where this table stopped, all rows are compared.
    -#}
    {%- if not plan.is_shaped_alike -%}
        {{ return('create') }}
    {%- endif -%}
    {%- for input in plan.inputs if mode == 'incremental' and input.kind == 'changes' -%}
        {%- set row = state | selectattr('input', 'equalto', input.name) | first -%}
        {%- if row.bound > row.seen and not run_query('select 1 from ' ~ converge.changes_relation(input.relation) ~ ' where _version = ' ~ (row.seen + 1) ~ ' limit 1').rows -%}
            {{ return('rebuild') }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(mode) }}
{%- endmacro %}
