-- What a source needs so that tables of it can be read by `change_log`: a role, a publication, and tables whose log names
-- the row that changed. In the source's database, as a superuser, or as one who may create roles and owns the tables:
--
--   psql -d shop -v role=storehouse -v tables='public.orders "Sales Dept"."Order Lines"' -f deploy/change_log.sql
--
-- `-v publication=…` gives the publication another name than storehouse. It can be run again, with more tables; those that
-- are in the publication stay there. It sets no password: \password storehouse. The server needs wal_level = logical, and
-- a free slot beside one for the moment of a snapshot (max_replication_slots).
\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages to warning;
\if :{?publication}
\else
    \set publication storehouse
\endif
begin;
set local search_path to pg_catalog;
set local storehouse.role to :'role';
set local storehouse.publication to :'publication';
set local storehouse.tables to :'tables';

do $$
declare
    role_name constant text = current_setting('storehouse.role');
    publication constant text = current_setting('storehouse.publication');
    wanted regclass;
    found record;
begin
    if current_setting('wal_level') != 'logical' then
        raise exception 'The server''s wal_level is %: alter system set wal_level = logical, and restart it.',
            current_setting('wal_level');
    end if;
    if not exists (select from pg_roles where rolname = role_name) then
        execute format('create role %I login', role_name);
    end if;
    -- Reading the log is a right of its own; it reads every table of every database of the server.
    if to_regrole('rds_replication') is not null then
        execute format('grant rds_replication to %I', role_name);
    else
        execute format('alter role %I replication', role_name);
    end if;
    if not exists (select from pg_publication where pubname = publication) then
        execute format('create publication %I with (publish_via_partition_root = true)', publication);
    end if;
    for wanted in select word::regclass from regexp_split_to_table(
        trim(current_setting('storehouse.tables')), '[ ,]+(?=([^"]*"[^"]*")*[^"]*$)'
    ) as word
    loop
        select nspname, relname, relkind, relreplident, exists (
            select from pg_index where indrelid = wanted and indisprimary
        ) as has_key into found
        from pg_class join pg_namespace on pg_namespace.oid = relnamespace where pg_class.oid = wanted;
        execute format('grant usage on schema %I to %I', found.nspname, role_name);
        execute format('grant select on %s to %I', wanted, role_name);
        -- Without either an update of the table would fail as soon as it is published.
        if not found.has_key and found.relreplident in ('d', 'n') then
            raise exception 'The table % has no primary key, so its log does not say which row changed.', wanted
                using hint = format(
                    'Nothing was changed. Give it one, or a unique index of columns that are not null, and first run: '
                    'alter table %s replica identity using index …', wanted
                );
        end if;
        if not exists (
            select from pg_publication_tables
            where pubname = publication and schemaname = found.nspname and tablename = found.relname
        ) then
            execute format('alter publication %I add table %s', publication, wanted);
        end if;
    end loop;
end
$$;

commit;
