{% macro describe_published(group, follows=true) -%}
    {#-
        What the database says about each published model of a group, by id: its built relation, the published one that
        readers see (`shown`), whether both have the same shape (columns, indexes and checks), and how far the published one
        has followed (not where `follows` is false: then the built side need not be there).
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- call statement('converge_published', fetch_result=true) -%}
        {{ converge.name_in_full(true) }}
        with asked (id, built, shown, space, undo) as (values
            {%- for id in group.published %}
            (
                {{ converge.literal(id) }},
                to_regclass({{ converge.literal(nodes[id].relation) }})::oid,
                to_regclass({{ converge.literal(nodes[id].published) }})::oid,
                to_regnamespace({{ converge.literal(nodes[id].published.without_identifier()) }})::oid,
                to_regclass({{ converge.literal(converge.undo_log(nodes[id].published)) }})::oid
            )
            {{- ',' if not loop.last }}
            {%- endfor %}
        ),

        described as (
            select
                pg_class.oid,
                concat_ws(
                    e'\n',
                    (
                        select string_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod), attcollation, attnotnull), ', ' order by attnum)
                        from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
                    ),
                    (
                        select string_agg(part, ', ' order by part)
                        from (
                            select concat_ws(' ', indisunique, indisprimary, substring(pg_get_indexdef(indexrelid) from ' USING .*$')) as part
                            from pg_index where indrelid = pg_class.oid
                        ) as parts
                    ),
                    (
                        select string_agg(pg_get_constraintdef(pg_constraint.oid), ', ' order by pg_get_constraintdef(pg_constraint.oid))
                        from pg_constraint where conrelid = pg_class.oid and contype = 'c'
                    )
                ) as shape,
                (
                    select json_agg(quote_ident(attname) order by attnum)::text
                    from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
                ) as columns,
                (
                    select json_agg(quote_ident(attname) order by attnum)::text
                    from pg_index inner join pg_attribute on attrelid = indrelid and attnum = any(indkey)
                    where indrelid = pg_class.oid and indisprimary
                ) as key,
                (
                    select json_agg(json_build_array(name, description) order by name)::text
                    from (
                        select coalesce(attname, '') as name, description
                        from pg_description left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0
                        where objoid = pg_class.oid and classoid = 'pg_class'::regclass
                    ) as comments
                ) as comments,
                (
                    select json_agg(lower(privilege_type) || ' ' || coalesce(rolname, 'PUBLIC') order by lower(privilege_type), rolname)::text
                    from aclexplode(relacl) left join pg_roles on pg_roles.oid = grantee
                    where grantor = quote_ident(current_role)::regrole and grantee != grantor
                ) as grants
            from pg_class
            where oid in (select built from asked union all select shown from asked)
        )

        select
            asked.id,
            asked.built::bigint as built_oid,
            asked.shown::bigint as shown_oid,
            quote_ident(built_space.nspname) || '.' || quote_ident(built.relname) as built,
            quote_ident(space.nspname) || '.' || quote_ident(coalesce(shown.relname, built.relname)) as shown,
            quote_ident(space.nspname) as space,
            coalesce(shown.relname, built.relname) as name,
            built_space.nspname || '.' || built.relname as place,
            shown.relkind::text as shown_kind,
            built_now.columns,
            coalesce(shown_now.key, built_now.key) as key,
            coalesce(built_now.shape = shown_now.shape, false) as is_alike,
            md5(shown_now.shape) as shown_shape,
            built_now.comments is not distinct from shown_now.comments as has_comments,
            shown_now.grants,
            array_to_string(built.reloptions, ', ') as options,
            own.bound as version,
            seen.input_oid::bigint as seen_oid,
            seen.bound as seen,
            asked.undo is not null as has_undo,
            seen.input_oid = asked.built and case asked.id
                {%- for id in group.published if follows and id not in group.views %}
                when {{ converge.literal(id) }} then exists (select 1 from {{ nodes[id].log }} where _version = seen.bound + 1)
                {%- else %}
                when null then false
                {%- endfor %}
            end as is_told,
            case when built.relkind = 'v' then pg_get_viewdef(built.oid) end as definition,
            case when shown.relkind = 'v' then pg_get_viewdef(shown.oid) end as shown_definition,
            array_to_string(shown.reloptions, ', ') as shown_options
        from asked
        inner join pg_namespace as space on asked.space = space.oid
        left join pg_class as built on asked.built = built.oid
        left join pg_namespace as built_space on built.relnamespace = built_space.oid
        left join described as built_now on asked.built = built_now.oid
        left join pg_class as shown on asked.shown = shown.oid
        left join described as shown_now on asked.shown = shown_now.oid
        left join {{ inputs }} as own on asked.built = own.relation and own.input = '(self)'
        left join {{ inputs }} as seen on asked.shown = seen.relation and seen.input = built_space.nspname || '.' || built.relname
        where coalesce(built.oid, shown.oid) is not null;
    {%- endcall -%}
    {%- set found = {} -%}
    {%- for row in load_result('converge_published').table.rows -%}
        {%- set relation = row.dict() -%}
        {%- for field in ['columns', 'key', 'grants'] -%}
            {%- do relation.update({field: fromjson(relation[field]) if relation[field] else []}) -%}
        {%- endfor -%}
        {%- do relation.update({'is_current': relation.is_alike and relation.seen_oid == relation.built_oid and relation.seen == relation.version}) -%}
        {%- do found.update({row.id: relation}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
