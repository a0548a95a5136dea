{% macro standing_relations() -%}
    {#-
        Grain: one row per table and view of the database that no extension has made: its size with its indexes, and the
        planner's estimate of its rows.
    -#}
    {{ return(adapter.dispatch('standing_relations')()) }}
{%- endmacro %}

{% macro postgres__standing_relations() -%}
    select
        cast(schemas.nspname as varchar) as schema_name,
        cast(relations.relname as varchar) as relation_name,
        cast(case relations.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as varchar) as kind,
        pg_total_relation_size(relations.oid) as bytes,
        cast(nullif(relations.reltuples, -1) as bigint) as estimated_rows
    from pg_catalog.pg_class as relations
    inner join pg_catalog.pg_namespace as schemas
        on relations.relnamespace = schemas.oid
    where
        relations.relkind in ('r', 'p', 'v', 'm')
        and not exists (
            select 1
            from pg_catalog.pg_depend as owners
            where owners.classid = 'pg_class'::regclass and owners.objid = relations.oid and owners.deptype = 'e'
        )
{%- endmacro %}
