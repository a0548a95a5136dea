{% macro bind(plan, state, mode) -%}
    {#-
        The model's SQL with conditions where the macros `landed`, `touched_rows` and `is_touched` left their markers.
        Bounds are literals, so that the planner knows how few rows are asked for. In any mode but `incremental`, every
        input is read whole, up to its bound.
    -#}
    {%- set re = modules.re -%}
    {%- set ns = namespace(sql=plan.sql) -%}
    {%- for row in state if row.kind == 'landed' -%}
        {%- set above = '\\1 > ' ~ row.seen ~ ' and ' if mode == 'incremental' else '' -%}
        {%- set ns.sql = re.sub('/[*]@landed ' ~ re.escape(row.input) ~ ' by (.*?)@[*]/', 'where ' ~ above ~ '\\1 <= ' ~ row.bound, ns.sql) -%}
    {%- endfor -%}
    {%- if mode == 'incremental' and plan.touched -%}
        {%- set of_one_column = '(?s)(/[*]@touched_rows 1[*]/ select [*] from (.*?) where true /[*]@is_touched 1 (.*?)@[*]/)' -%}
        {%- for marked, relation, column in re.findall(of_one_column, ns.sql) | unique if plan.has_tens and converge.is_indexed(relation, column) -%}
            {%- set ns.sql = ns.sql | replace(marked, converge.narrowed(relation, column, plan.tens_table)) -%}
        {%- endfor -%}
        {%- for marked, count, expressions in re.findall('(?s)(true /[*]@is_touched ([0-9]+) (.*?)@[*]/)', ns.sql) | unique -%}
            {%- set columns = plan.touched[:count | int] | join(', ') -%}
            {%- set ns.sql = ns.sql | replace(marked, '(' ~ expressions ~ ') in (select ' ~ columns ~ ' from ' ~ plan.touched_table ~ ')') -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(ns.sql) }}
{%- endmacro %}
