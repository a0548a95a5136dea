{% macro describe_published(group) -%}
    {#-
        What the database says about each relation of a group that is published, and about its published counterpart: their
        names, shapes, definitions, and how far the counterpart has followed. A shape is columns, indexes and checks.
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- do converge.name_in_full(true) -%}
    {%- call statement('converge_published', fetch_result=true) -%}
        with asked (id, built, shown, space) as (values
            {%- for id in group.published %}
            (
                {{ converge.literal(id) }},
                to_regclass({{ converge.literal(nodes[id].relation) }})::oid,
                to_regclass({{ converge.literal(nodes[id].published) }})::oid,
                to_regnamespace({{ converge.literal(nodes[id].published.without_identifier()) }})::oid
            )
            {{- ',' if not loop.last }}
            {%- endfor %}
        ),

        shapes as (
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
                    select string_agg(quote_ident(attname), e'\n' order by attnum)
                    from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
                ) as columns
            from pg_class
            where oid in (select built from asked union all select shown from asked)
        )

        select
            asked.id,
            asked.built::bigint as built_oid,
            asked.shown::bigint as shown_oid,
            quote_ident(built_space.nspname) || '.' || quote_ident(built.relname) as built,
            quote_ident(space.nspname) || '.' || quote_ident(built.relname) as shown,
            quote_ident(space.nspname) as space,
            built.relname as name,
            built_space.nspname || '.' || built.relname as place,
            shown.relkind::text as shown_kind,
            built_shape.columns,
            coalesce(built_shape.shape = shown_shape.shape, false) as is_alike,
            array_to_string(built.reloptions, ', ') as options,
            own.bound as version,
            seen.input_oid::bigint as seen_oid,
            seen.bound as seen,
            seen.input_oid = asked.built and case asked.id
                {%- for id in group.published if nodes[id].log %}
                when {{ converge.literal(id) }} then exists (select 1 from {{ nodes[id].log }} where _version = seen.bound + 1)
                {%- endfor %}
            end as is_told,
            case when built.relkind = 'v' then pg_get_viewdef(built.oid) end as definition,
            case when shown.relkind = 'v' then pg_get_viewdef(shown.oid) end as shown_definition,
            array_to_string(shown.reloptions, ', ') as shown_options
        from asked
        inner join pg_class as built on asked.built = built.oid
        inner join pg_namespace as built_space on built.relnamespace = built_space.oid
        inner join pg_namespace as space on asked.space = space.oid
        inner join shapes as built_shape on asked.built = built_shape.oid
        left join pg_class as shown on asked.shown = shown.oid
        left join shapes as shown_shape on asked.shown = shown_shape.oid
        left join {{ inputs }} as own on asked.built = own.relation and own.input = '(self)'
        left join {{ inputs }} as seen on asked.shown = seen.relation and seen.input = built_space.nspname || '.' || built.relname
    {%- endcall -%}
    {%- do converge.name_in_full(false) -%}
    {%- set found = {} -%}
    {%- for row in load_result('converge_published').table.rows -%}{%- do found.update({row.id: row}) -%}{%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
