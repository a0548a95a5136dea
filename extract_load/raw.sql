-- The ledger of loads, and how raw gets its tables and columns: one function, whoever lands. It runs with the rights of its
-- owner, so that the role that lands need not own what it writes (deploy/roles.sql), and it makes nothing but plain tables:
-- columns of PostgreSQL's own types, without defaults, an index on the load, and the one check of `_op`.
do $$
declare
    item record;
begin
    if to_regnamespace('raw') is null then
        create schema raw;
    end if;
    if to_regclass('raw.load_ids') is null then
        create sequence raw.load_ids;
    end if;
    if to_regclass('raw.loads') is null then
        create table raw.loads (
            load_id bigint primary key,
            source text not null,
            table_name text not null,
            partition text,
            interval_from timestamptz,
            interval_until timestamptz,
            kind text not null,
            rows bigint not null,
            bytes bigint not null,
            checksum text not null,
            started_at timestamptz not null,
            finished_at timestamptz not null,
            run_id text,
            -- In the order of commits. An id is drawn when its load begins.
            position bigint not null unique,
            -- Of a table that is read by its change log: up to where in it the table is known.
            source_position text,
            -- Where the next load begins when that is before the interval's end: transactions were open at the source.
            settled_until timestamptz
        );
    elsif to_regclass('raw.loads_position_key') is null then
        -- Of an earlier version, whose ids were in the order of commits, and whose raw tables had a key.
        alter table raw.loads add column position bigint;
        update raw.loads set position = load_id;
        alter table raw.loads alter column position set not null, add unique (position);
        for item in
            select pg_class.oid::regclass as relation, conname
            from pg_constraint
            join pg_class on pg_class.oid = conrelid
            join pg_namespace on pg_namespace.oid = relnamespace
            where contype = 'p' and nspname ~ '^raw_' and nspname != 'raw_operations' and relkind = 'r'
        loop
            execute format(
                'alter table %s drop constraint %I, set (autovacuum_vacuum_insert_scale_factor = 0,'
                ' autovacuum_vacuum_insert_threshold = 10000)', item.relation, item.conname
            );
            execute format('create index on %s using brin (_load_id)', item.relation);
            execute format('alter table %s alter column _load_id set statistics 10', item.relation);
        end loop;
    end if;
    -- Of an earlier version.
    alter table raw.loads add column if not exists source_position text;
    alter table raw.loads add column if not exists settled_until timestamptz;
end
$$;

-- What the pipeline says of itself, appended at the end of each run of dbt (macros/operations/land_run.sql) and of the
-- pipeline (storehouse/operate/pipeline.py): docs/decisions/0012. The id of the invocation is its load.
do $$
begin
    if to_regnamespace('raw_operations') is null then
        create schema raw_operations;
    end if;
    if to_regclass('raw_operations.dbt_runs') is null then
        create table raw_operations.dbt_runs (
            invocation_id text primary key,
            run_id text not null,
            command text not null,
            target text not null,
            started_by text not null,
            dag_id text,
            dag_run_id text,
            task_id text,
            try_number integer,
            selection text,
            is_full_refresh boolean not null,
            code_version text not null,
            dbt_version text not null,
            -- The position of the ledger up to which it read.
            position bigint,
            started_at timestamptz not null,
            ended_at timestamptz not null
        );
        create index on raw_operations.dbt_runs (started_at);
    end if;
    if to_regclass('raw_operations.node_results') is null then
        create table raw_operations.node_results (
            invocation_id text not null,
            unique_id text not null,
            -- Of its run, so that a node's history is looked up in this table alone.
            run_id text not null,
            command text not null,
            target text not null,
            code_version text not null,
            position bigint,
            run_started_at timestamptz not null,
            resource_type text not null,
            name text not null,
            schema_name text,
            relation_name text,
            materialized text,
            -- Of a test: the node that it is about.
            tested_id text,
            group_name text,
            publish_group text,
            status text not null,
            message text,
            started_at timestamptz,
            finished_at timestamptz,
            seconds double precision not null,
            rows_affected bigint,
            failures bigint,
            thread text,
            bytes bigint,
            -- As pg_stat_statements counts: since when, how many statements it has forgotten, and the pages of the node.
            counted_since timestamptz,
            statements_forgotten bigint,
            counted_buffers bigint,
            primary key (invocation_id, unique_id)
        );
        create index on raw_operations.node_results (unique_id, run_started_at);
        -- Rows are appended in the order of time: an index of some pages, whatever is stored.
        create index on raw_operations.node_results using brin (run_started_at) with (autosummarize = true);
    end if;
    -- Of an earlier version.
    alter table raw_operations.node_results
        add column if not exists counted_since timestamptz,
        add column if not exists statements_forgotten bigint,
        add column if not exists counted_buffers bigint;
    if to_regclass('raw_operations.publications') is null then
        create table raw_operations.publications (
            invocation_id text not null,
            target text not null,
            group_name text not null,
            noted_at timestamptz not null,
            position bigint,
            run_id text,
            code_version text,
            published_at timestamptz,
            held_back_at timestamptz,
            primary key (invocation_id, group_name)
        );
        create index on raw_operations.publications (noted_at);
    end if;
    if to_regclass('raw_operations.pipeline_runs') is null then
        create table raw_operations.pipeline_runs (
            pipeline text not null,
            run_id text not null,
            interval_from timestamptz,
            interval_until timestamptz,
            state text not null,
            tasks integer,
            broken_tasks text,
            landed_rows bigint not null,
            loads bigint not null,
            started_at timestamptz not null,
            ended_at timestamptz not null
        );
        create index on raw_operations.pipeline_runs (pipeline, ended_at);
    end if;
end
$$;

drop function if exists raw.shape(text, text, json, text[], text[]);

create or replace function raw.shape(
    schema_name text, table_name text, columns json, required_columns text[]
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    relation constant text = format('%I.%I', schema_name, table_name);
    wanted record;
    is_empty boolean;
    definitions text[] = '{}';
begin
    if schema_name !~ '^raw(_|$)' then
        raise exception 'The schema % is not one of raw.', schema_name using errcode = 'invalid_schema_name';
    end if;
    for wanted in
        select given.key as name, given.n, types.oid, format_type(types.oid, -1) as type, given.value as asked,
            attribute.attnum is not null as is_there, attribute.atttypid
        from json_each_text(columns) with ordinality as given (key, value, n)
        left join pg_type as types
            on types.oid = to_regtype(given.value) and types.typnamespace = 'pg_catalog'::regnamespace
            and types.typtype in ('b', 'r', 'm')
        left join pg_attribute as attribute
            on attribute.attrelid = to_regclass(relation) and attribute.attname = given.key
            and attribute.attnum > 0 and not attribute.attisdropped
        order by given.n
    loop
        if wanted.type is null then
            raise exception 'The column % can have a type of PostgreSQL itself only, not %.', wanted.name, wanted.asked
                using errcode = 'undefined_object';
        end if;
        if to_regclass(relation) is null then
            definitions = definitions || format(
                '%I %s%s', wanted.name, wanted.type, case when wanted.name = any(required_columns) then ' not null' end
            );
        elsif not wanted.is_there then
            execute format('alter table %s add column %I %s', relation, wanted.name, wanted.type);
        elsif wanted.atttypid != wanted.oid then
            -- First: rows of a load that is not over would not be seen, and not be kept.
            execute format('lock table %s', relation);
            execute format('select not exists (select from %s)', relation) into is_empty;
            if not is_empty then
                raise exception 'The column % of % has rows of another type.', wanted.name, relation
                    using errcode = 'datatype_mismatch';
            end if;
            execute format('alter table %s alter column %I type %s using null', relation, wanted.name, wanted.type);
        end if;
    end loop;
    if to_regclass(relation) is null then
        -- The index knows the pages that were vacuumed, and others are read whenever it is asked: so after each large load.
        execute format(
            'create table %s (%s, check (_op in (''u'', ''d''))) with (autovacuum_vacuum_insert_scale_factor = 0,'
            ' autovacuum_vacuum_insert_threshold = 10000)', relation, array_to_string(definitions, ', ')
        );
        execute format('create index on %s using brin (_load_id)', relation);
        -- So that the `analyze` after a load costs little: it has few values.
        execute format('alter table %s alter column _load_id set statistics 10', relation);
    end if;
end
$$;

revoke all on function raw.shape(text, text, json, text[]) from public;
