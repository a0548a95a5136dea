{% macro carry_comments(relations) -%}
    {#- Comments of built relations and their columns, where the published ones have others. -#}
    {%- set pairs = [] -%}
    {%- for relation in relations.values() -%}
        {%- do pairs.append("(" ~ converge.literal(relation.built) ~ "::regclass::oid, " ~ converge.literal(relation.shown) ~ "::regclass::oid, " ~ converge.literal(relation.shown) ~ ")") -%}
    {%- endfor -%}
    {%- set statements = run_query("
        with pairs (built, shown, name) as (values " ~ pairs | join(', ') ~ ")

        select format('comment on %s %s is %s', case when relkind = 'v' then 'view' else 'table' end, name, quote_nullable(obj_description(built, 'pg_class'))) as statement
        from pairs inner join pg_class on pg_class.oid = shown
        where obj_description(built, 'pg_class') is distinct from obj_description(shown, 'pg_class')
        union all
        select format('comment on column %s.%I is %s', name, theirs.attname, quote_nullable(col_description(built, ours.attnum)))
        from pairs
        inner join pg_attribute as theirs on theirs.attrelid = shown and theirs.attnum > 0 and not theirs.attisdropped
        inner join pg_attribute as ours on ours.attrelid = built and ours.attname = theirs.attname
        where col_description(built, ours.attnum) is distinct from col_description(shown, theirs.attnum)
    ").columns['statement'].values() -%}
    {%- if statements | length -%}
        {%- call statement() -%}
            {{ statements | join(';\n') }}
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
