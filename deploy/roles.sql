-- Three roles, each with what its part of the pipeline needs and no more.
--
--   extract    lands: owns the raw schemas, and sees nothing else
--   transform  builds: reads raw, owns every other layer; may create schemas, for new layers and the audit
--   reporting  reads the marts and operations, and writes nothing
--
-- Run it in the warehouse's database, as a superuser or as the database's owner with CREATEROLE. It can be run again,
-- and on a warehouse that one user has built: everything is handed over. It sets no passwords, and without one nobody
-- logs in: \password extract, \password transform, \password reporting.
do $$
declare
    raw_schemas constant text[] = '{raw, raw_shop, raw_marketplace, raw_reviews, raw_stores}';
    -- A build makes these, and dbt grants marts and operations to reporting; where they stand, they change hands.
    built_schemas constant text[] = '{staging, quarantine, intermediate, core, sales, customers, feedback, operations,
        seeds, snapshots, test_failures, converge, orchestration}';
    here constant text = current_database();
    name text;
    item record;
begin
    foreach name in array '{extract, transform, reporting}'::text[] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I login', name);
        elsif not (select rolcanlogin from pg_roles where rolname = name) then
            execute format('alter role %I login', name);
        end if;
    end loop;

    -- Only a superuser hands things over to roles that it is no member of.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant extract, transform to %I', current_user);
    end if;

    execute format('revoke all on database %I from public', here);
    execute format('grant connect, temporary on database %I to extract', here);
    execute format('grant connect, temporary, create on database %I to transform', here);
    execute format('grant connect on database %I to reporting', here);
    revoke create on schema public from public;

    foreach name in array raw_schemas loop
        if to_regnamespace(name) is null then
            execute format('create schema %I', name);
        end if;
    end loop;

    for item in
        select nspname as schema, case when nspname = any(raw_schemas) then 'extract' else 'transform' end as owner
        from pg_namespace where nspname = any(raw_schemas || built_schemas)
    loop
        execute format('alter schema %I owner to %I', item.schema, item.owner);
    end loop;
    for item in
        select c.oid::regclass as relation, pg_get_userbyid(n.nspowner) as owner
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = any(raw_schemas || built_schemas)
            and c.relkind in ('r', 'p', 'v', 'm', 'S')
            and c.relowner != n.nspowner
            -- A column's own sequence goes with its table.
            and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype in ('a', 'i') and c.relkind = 'S')
    loop
        execute format('alter table %s owner to %I', item.relation, item.owner);
    end loop;

    foreach name in array raw_schemas loop
        execute format('grant usage on schema %I to transform', name);
        execute format('grant select on all tables in schema %I to transform', name);
        execute format('alter default privileges for role extract in schema %I grant select on tables to transform', name);
    end loop;
end
$$;
