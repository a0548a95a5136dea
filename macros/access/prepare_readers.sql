{% macro prepare_readers(role='reporting') -%}
    {#- The role that readers are members of, and its way into the schemas of public models. dbt's `grants` give the tables. -#}
    {%- if execute and target.name == 'default' and flags.WHICH in ('run', 'build', 'retry') -%}
        {%- set schemas = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.access == 'public' and node.schema not in schemas -%}
            {%- do schemas.append(node.schema) -%}
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
        {%- set closed = run_query(
            "select quote_ident(nspname) as schema from pg_namespace where nspname in ('" ~ schemas | join("', '") ~ "') and not has_schema_privilege('" ~ role ~ "', oid, 'usage')"
        ).rows -%}
        {%- if closed -%}
            {%- call statement() -%}
                grant usage on schema {{ closed | map(attribute='schema') | join(', ') }} to {{ role }};
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
