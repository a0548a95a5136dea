{% macro prepare_readers(role='reporting') -%}
    {#-
        The role that readers are members of, and its way into the schemas that they read: those that public models are
        published into, and not those where these are built. dbt's `grants` give the tables.
    -#}
    {%- if execute and target.name == 'default' and flags.WHICH in ('run', 'build', 'retry') -%}
        {%- set read, built = [], [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.access == 'public' -%}
            {%- set shown = published_relation(node) -%}
            {%- do read.append((shown or node).schema) -%}
            {%- do built.append(node.schema) if shown -%}
        {%- endfor -%}
        {%- set there = run_query(
            "select to_regrole('" ~ role ~ "') is not null as has_role, (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as may_create"
        ).rows[0] -%}
        {%- if not there.has_role and not there.may_create -%}
            {{ exceptions.raise_compiler_error(
                "The role " ~ role ~ ", which reads the public marts, is not there, and " ~ target.user ~ " may not create it. Let an administrator run, once: create role " ~ role ~ " nologin"
            ) }}
        {%- endif -%}
        {%- if not there.has_role -%}
            {%- call statement() -%}
                -- Two first runs at once, in two databases of a server, must not both create.
                do $$ begin create role {{ role }} nologin; exception when duplicate_object or unique_violation then null; end $$;
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
        {%- set amiss = run_query("
            select case
                when to_regnamespace(schema) is null then 'create schema if not exists ' || schema || '; grant usage on schema ' || schema || ' to " ~ role ~ "'
                when is_read then 'grant usage on schema ' || schema || ' to " ~ role ~ "'
                else 'revoke usage on schema ' || schema || ' from public, " ~ role ~ "'
            end as statement
            from (
                select quote_ident(name) as schema, true as is_read from unnest(array['" ~ read | unique | join("', '") ~ "']) as name
                union all
                select quote_ident(name), false from unnest(array['" ~ built | unique | join("', '") ~ "']::text[]) as name
            ) as schemas
            where coalesce(has_schema_privilege('" ~ role ~ "', to_regnamespace(schema)::oid, 'usage'), false) != is_read
        ").columns['statement'].values() -%}
        {%- if amiss -%}
            {%- call statement() -%}
                {{ amiss | join(';\n') }};
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
