{% macro check_views(ids, relations) -%}
    {#- In words, which published views do not stand on exactly the published counterparts of what their models stand on: relation by relation and column by column. -#}
    {%- set names, said = [], [] -%}
    {%- for relation in relations.values() -%}
        {%- do names.append("(" ~ converge.literal(relation.built) ~ "::regclass::oid, " ~ converge.literal(relation.shown) ~ "::regclass::oid)") -%}
    {%- endfor -%}
    {%- for id in ids -%}
        {%- set amiss = run_query("
            with names (built, shown) as (values " ~ names | join(', ') ~ "),

            stands_on as (
                select distinct rule.ev_class as reader, refobjid as relation, coalesce(attname, '') as name
                from pg_depend
                inner join pg_rewrite as rule on classid = 'pg_rewrite'::regclass and objid = rule.oid
                left join pg_attribute on attrelid = refobjid and attnum = refobjsubid and refobjsubid > 0
                where refclassid = 'pg_class'::regclass and refobjid != rule.ev_class
            ),

            meant as (
                select coalesce(names.shown, 0::oid) as relation, name, stands_on.relation as built
                from stands_on left join names on stands_on.relation = names.built
                where reader = " ~ converge.literal(relations[id].built) ~ "::regclass
            ),

            is_so as (
                select relation, name, relation as shown from stands_on where reader = " ~ converge.literal(relations[id].shown) ~ "::regclass
            )

            select string_agg(distinct coalesce(meant.built, is_so.shown)::regclass::text, ', ') as amiss
            from meant full join is_so using (relation, name)
            where meant.built is null or is_so.shown is null
        ").rows[0].amiss -%}
        {%- do said.append('the view ' ~ relations[id].built ~ ' stands on ' ~ amiss ~ ', of which no published counterpart is known: let it read published models only, by `ref`') if amiss -%}
    {%- endfor -%}
    {{ return(said) }}
{%- endmacro %}
