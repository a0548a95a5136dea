{% macro bind(sql, state, mode, touched) -%}
    {#
        The model's SQL with the bounds as literals, so that the planner sees how little is asked for.
        Outside `incremental` every input is read whole, up to its bound.
    #}
    {%- set re = modules.re -%}
    {%- set ns = namespace(sql=re.sub('(?s)/[*]@touched .*?@touched[*]/', '', sql)) -%}
    {%- for row in state if row.kind == 'landed' -%}
        {%- set name = row.input.split('.') -%}
        {%- set lower = '\\1 > ' ~ row.seen ~ ' and ' if mode == 'incremental' else '' -%}
        {%- set ns.sql = re.sub('/[*]@landed [^@]*"' ~ name[0] ~ '"[.]"' ~ name[1] ~ '" by ([A-Za-z_]+)@[*]/', 'where ' ~ lower ~ '\\1 <= ' ~ row.bound, ns.sql) -%}
    {%- endfor -%}
    {%- if mode == 'incremental' and touched -%}
        {%- for found in re.findall('true /[*]@is_touched .*?@[*]/', ns.sql) | unique -%}
            {%- set expressions = found[19:-3] -%}
            {%- set columns = touched.columns[:expressions.split(', ') | length] | join(', ') -%}
            {%- set ns.sql = ns.sql | replace(found, '(' ~ expressions ~ ') in (select ' ~ columns ~ ' from ' ~ touched.name ~ ')') -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(ns.sql) }}
{%- endmacro %}
