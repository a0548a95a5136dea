{% macro bind(plan, state, mode) -%}
    {#-
        The model's SQL with conditions where the macros `landed`, `touched_rows` and `is_touched` left their markers.
        An incremental run reads of a source the loads that `landed_loads` names. In any other mode every input is read whole,
        up to its bound: the ledger itself says which loads these are.
    -#}
    {%- set re = modules.re -%}
    {%- set ns = namespace(sql=plan.sql) -%}
    {%- for row in state if row.kind == 'landed' -%}
        {%- set all_loads = '{} in (select load_id from (' ~ converge.ledger() ~ ') as ledger where position <= ' ~ row.bound ~ ')' -%}
        {%- set condition = plan.loads[row.input] if mode == 'incremental' else all_loads -%}
        {%- set marker = '/[*]@landed ' ~ re.escape(row.input) ~ ' by (.*?)@[*]/' -%}
        {%- set ns.sql = re.sub(marker, 'where ' ~ condition | replace('{}', '\\1'), ns.sql) -%}
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
