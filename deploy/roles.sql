-- The roles, each with what its part of the pipeline needs and no more.
--
--   raw_owner  owns raw. Nobody logs in as it, and none of the others is a member: what they read in raw is a plain table
--   extract    lands: inserts into raw, adds columns and tables by raw.shape (extract_load/raw.sql), and sees nothing else
--   transform  builds: reads raw, owns every other layer; may create schemas, for new layers and the audit; appends to
--              raw_operations what its runs did
--   reporting  reads the marts and operations, and writes nothing
--   forget     erases a person: reads and updates raw, writes nothing else
--
-- In the warehouse's database, as a superuser or as the database's owner with CREATEROLE, from the project's folder:
--
--   psql -d storehouse -f deploy/roles.sql
--
-- Of sources other than the demo's, all that are declared: psql -d storehouse -v sources='shop billing' -f deploy/roles.sql
-- What an earlier run has handed over stays so.
--
-- It can be run again, on a warehouse that one user has built, and on one with the roles of an earlier version:
-- everything is handed over, or nothing, and then it says why. It sets no passwords, and without one nobody logs in:
-- \password extract, \password transform, \password reporting, \password forget.
\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages to warning;
\if :{?sources}
\else
    \set sources 'shop marketplace reviews stores'
\endif
begin;
set local search_path to pg_catalog;
set local storehouse.sources to :'sources';

do $$
declare
    name text;
begin
    foreach name in array '{extract, transform, reporting, forget, raw_owner}'::text[] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I', name);
        end if;
        execute format('alter role %I %s', name, case name when 'raw_owner' then 'nologin' else 'login' end);
    end loop;
    -- Only a superuser hands things over to roles that it is no member of.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant extract, transform, forget, raw_owner to %I', current_user);
    end if;
end
$$;

\ir ../extract_load/raw.sql

do $$
declare
    raw_schemas constant text[] = (
        select array_agg(schema)
        from (
            select unnest(array['raw', 'raw_operations']) as schema
            union
            select 'raw_' || source from regexp_split_to_table(trim(current_setting('storehouse.sources')), '[ ,]+') as source
            union
            select nspname from pg_namespace where nspowner = 'raw_owner'::regrole
        ) as landed
    );
    -- A build makes these, and dbt grants marts and operations to reporting; where they stand, they change hands.
    built_schemas constant text[] = '{staging, quarantine, intermediate, build, core, sales, customers, feedback, view_inputs,
        operations, seeds, snapshots, test_failures, converge, orchestration}';
    roles constant regrole[] = '{extract, transform, reporting, forget, raw_owner}';
    large_objects constant text = 'lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)';
    -- What a server writes into its log of these roles' statements: no values, and no rows.
    quiet constant text[] = '{log_min_messages=log, log_min_error_statement=panic, log_error_verbosity=terse,
        log_parameter_max_length=0, log_parameter_max_length_on_error=0}';
    here constant text = current_database();
    is_superuser constant boolean = (select rolsuper from pg_roles where rolname = current_user);
    has_maintain constant boolean = current_setting('server_version_num')::int >= 170000;
    name text;
    setting text;
    item record;
    found text;
begin
    foreach name in array raw_schemas || 'forgetting'::text loop
        if to_regnamespace(name) is null then
            execute format('create schema %I', name);
        end if;
    end loop;

    -- What only code needs: under an earlier version extract could make it, and others would run it.
    select string_agg(what, ', ') into found
    from (
        select pg_describe_object(d.classid, d.objid, 0) || ' of ' || pg_get_userbyid(d.refobjid) as what
        from pg_shdepend as d
        where d.dbid = (select oid from pg_database where datname = here)
            and d.deptype = 'o' and d.refclassid = 'pg_authid'::regclass
            and d.refobjid in ('extract'::regrole, 'reporting'::regrole)
            and d.classid not in ('pg_default_acl'::regclass, 'pg_namespace'::regclass)
            and not (d.classid = 'pg_proc'::regclass and d.objid = to_regprocedure('raw.shape(text, text, json, text[])'))
            and not exists (
                select from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
                where d.classid = 'pg_class'::regclass and d.objid = c.oid
                    and (n.nspname like 'pg\_temp\_%' or (c.relkind in ('r', 'S') and n.nspname = any(raw_schemas)))
            )
        union all
        select 'schema ' || n.nspname || ' of ' || pg_get_userbyid(n.nspowner)
        from pg_namespace as n
        where n.nspowner in ('extract'::regrole, 'reporting'::regrole) and n.nspname != all(raw_schemas)
            and n.nspname not like 'pg\_%temp\_%'
        union all
        select pg_describe_object('pg_class'::regclass, c.oid, 0)
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = any(raw_schemas) and c.relkind not in ('r', 'S', 'i')
        union all
        select pg_describe_object('pg_proc'::regclass, p.oid, 0)
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname = any(raw_schemas)
            and p.oid != to_regprocedure('raw.shape(text, text, json, text[])')
        union all
        -- The first place where a role looks for a name is the schema of its own name.
        select 'schema ' || n.nspname || ' (named as a role)'
        from pg_namespace as n
        where n.nspname in ('extract', 'reporting', 'forget', 'raw_owner', 'transform')
    ) as odd;
    if found is not null then
        raise exception 'Nothing was changed: these are no tables that were landed, and another role may run code by them: %.', found
            using hint = 'Look at them, drop them, put raw tables back in their place, and run this again.';
    end if;

    -- None of them is another.
    for item in
        select m.roleid::regrole as granted, m.member::regrole as member from pg_auth_members as m
        where m.roleid = any(roles) and m.member = any(roles)
    loop
        execute format('revoke %s from %s', item.granted, item.member);
    end loop;

    execute format('revoke all on database %I from public, extract, reporting, forget', here);
    execute format('grant connect, temporary on database %I to extract', here);
    execute format('grant connect, temporary, create on database %I to transform', here);
    execute format('grant connect on database %I to reporting, forget', here);
    revoke create on schema public from public, extract, reporting, forget;

    for item in
        select nspname as schema, case when nspname = any(raw_schemas) then 'raw_owner' else 'transform' end as owner
        from pg_namespace where nspname = any(raw_schemas || built_schemas)
    loop
        execute format('alter schema %I owner to %I', item.schema, item.owner);
    end loop;
    alter schema forgetting owner to forget;
    alter function raw.shape(text, text, json, text[]) owner to raw_owner;
    for item in
        select c.oid::regclass as relation, pg_get_userbyid(n.nspowner) as owner
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = any(raw_schemas || built_schemas || 'forgetting'::text)
            and c.relkind in ('r', 'p', 'v', 'm', 'S')
            and c.relowner != n.nspowner
            -- A column's own sequence goes with its table.
            and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype in ('a', 'i') and c.relkind = 'S')
    loop
        execute format('alter table %s owner to %I', item.relation, item.owner);
    end loop;

    foreach name in array raw_schemas loop
        execute format('alter default privileges for role extract in schema %I revoke select on tables from transform', name);
        execute format('revoke all on schema %I from public, extract, transform, reporting, forget', name);
        execute format('grant usage on schema %I to extract, transform, forget', name);
        execute format('revoke all on all tables in schema %I from public, extract, transform, reporting, forget', name);
        execute format('revoke all on all sequences in schema %I from public, extract, transform, reporting, forget', name);
        for item in
            select * from (values
                ('select', 'tables', 'transform'),
                ('select, insert', 'tables', 'extract'),
                ('select, update', 'tables', 'forget'),
                ('usage', 'sequences', 'extract')
            ) as granted (privileges, kind, role)
            where name != 'raw_operations'
            union all
            -- What the pipeline says of itself is appended by whoever builds.
            select * from (values
                ('select, insert', 'tables', 'transform'),
                ('select', 'tables', 'extract'),
                ('select, update', 'tables', 'forget')
            ) as granted (privileges, kind, role)
            where name = 'raw_operations'
        loop
            -- The statistics after a large load, and the weekly vacuum: before PostgreSQL 17 autovacuum alone does both.
            if has_maintain and item.kind = 'tables' and item.role != 'transform' then
                item.privileges = item.privileges || ', maintain';
            end if;
            execute format('grant %s on all %s in schema %I to %s', item.privileges, item.kind, name, item.role);
            execute format(
                'alter default privileges for role raw_owner in schema %I grant %s on %s to %s',
                name, item.privileges, item.kind, item.role
            );
        end loop;
    end loop;
    grant execute on function raw.shape(text, text, json, text[]) to extract;

    -- By default a role looks for names in a schema of its own name first, which transform may create.
    foreach name in array '{extract, reporting, forget}'::text[] loop
        execute format('alter role %I in database %I set search_path to pg_catalog', name, here);
    end loop;

    -- What is sought of a person while they are forgotten: read by the search, and by nobody else.
    revoke all on schema forgetting from public, extract, reporting;
    grant usage on schema forgetting to transform;
    alter default privileges for role forget in schema forgetting grant select on tables to transform;

    if is_superuser then
        -- Every role may make large objects, and they are nobody's table: not here.
        execute format('revoke execute on function %s from public', large_objects);
        foreach name in array '{extract, transform, forget}'::text[] loop
            foreach setting in array quiet loop
                execute format(
                    'alter role %I in database %I set %s to %L',
                    name, here, split_part(setting, '=', 1), split_part(setting, '=', 2)
                );
            end loop;
        end loop;
    elsif has_function_privilege('reporting', 'lo_create(oid)', 'execute') then
        raise warning 'Only a superuser can forbid reporting to make large objects, and keep rows out of the server''s log. Let one run this script, or: revoke execute on function % from public', large_objects;
    end if;
end
$$;

commit;
