{% macro bind(plan, state, mode) -%}
    {#-
        The model's SQL with the bounds as literals, so that the planner sees how little is asked for.
        Outside `incremental` every input is read whole, up to its bound.
    -#}
    {%- set re = modules.re -%}
    {%- set ns = namespace(sql=plan.sql) -%}
    {%- for row in state if row.kind == 'landed' -%}
        {%- set above = '\\1 > ' ~ row.seen ~ ' and ' if mode == 'incremental' else '' -%}
        {%- set ns.sql = re.sub('/[*]@landed ' ~ re.escape(row.input) ~ ' by (.*?)@[*]/', 'where ' ~ above ~ '\\1 <= ' ~ row.bound, ns.sql) -%}
    {%- endfor -%}
    {%- if mode == 'incremental' and plan.has_tens -%}
        {%- set no_or = '(?![^()]*\\s(?i:or)\\s)' -%}
        {%- set word = '(?:"[^"]+"|[a-z_][a-z_0-9$]*)' -%}
        {#- `from a table where is_touched`, unless an `or` lets other rows pass too. -#}
        {%- for found, relation, name, alias, column in re.findall('(?s)(from ((?:' ~ word ~ '[.])+(' ~ word ~ '))(?: as ([a-z_0-9]+))?\\s+where\\s+true /[*]@is_touched 1 (?:[a-z_0-9]+[.])?([a-z_0-9]+)@[*]/)' ~ no_or, ns.sql) | unique if converge.is_indexed(relation, column) -%}
            {%- set ns.sql = re.sub(re.escape(found) ~ no_or, 'from (' ~ converge.narrowed(relation, column, plan.tens_table) ~ ') as ' ~ (alias or name) ~ ' where true', ns.sql) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for found, count, expressions in re.findall('(?s)(true /[*]@is_touched ([0-9]+) (.*?)@[*]/)', ns.sql) | unique if mode == 'incremental' and plan.touched -%}
        {%- set columns = plan.touched[:count | int] | join(', ') -%}
        {%- set ns.sql = ns.sql | replace(found, '(' ~ expressions ~ ') in (select ' ~ columns ~ ' from ' ~ plan.touched_table ~ ')') -%}
    {%- endfor -%}
    {{ return(ns.sql) }}
{%- endmacro %}
