{% macro bind_changes(sql, state) -%}
    {#- The `touched` query with, for each parent, the versions that this table has not consumed. -#}
    {%- set ns = namespace(sql=sql) -%}
    {%- for row in state if row.kind == 'changes' -%}
        {%- set name = row.input.split('.') -%}
        {%- set ns.sql = modules.re.sub('@changes [^@]*"' ~ name[0] ~ '"[.]"' ~ name[1] ~ '"@', '_version > ' ~ row.seen ~ ' and _version <= ' ~ row.bound, ns.sql) -%}
    {%- endfor -%}
    {{ return(ns.sql) }}
{%- endmacro %}
