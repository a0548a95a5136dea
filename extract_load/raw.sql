-- The ids of loads, and how raw gets its tables and columns: one function, whoever lands. It runs with the rights of its owner, so that the
-- role that lands need not own what it writes (deploy/roles.sql), and it makes nothing but plain tables: columns of
-- PostgreSQL's own types, without defaults, a primary key, and the one check of `_op`.
do $$
begin
    if to_regnamespace('raw') is null then
        create schema raw;
    end if;
    if to_regclass('raw.load_ids') is null then
        create sequence raw.load_ids;
    end if;
end
$$;

create or replace function raw.shape(
    schema_name text, table_name text, columns json, key_columns text[], required_columns text[]
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
            execute format('select not exists (select from %s)', relation) into is_empty;
            if not is_empty then
                raise exception 'The column % of % has rows of another type.', wanted.name, relation
                    using errcode = 'datatype_mismatch';
            end if;
            execute format('alter table %s alter column %I type %s using null', relation, wanted.name, wanted.type);
        end if;
    end loop;
    if to_regclass(relation) is null then
        if columns::jsonb ? '_op' then
            definitions = definitions || 'check (_op in (''u'', ''d''))'::text;
        end if;
        execute format(
            'create table %s (%s, primary key (%s))',
            relation,
            array_to_string(definitions, ', '),
            (select string_agg(quote_ident(name), ', ' order by n) from unnest(key_columns) with ordinality as k (name, n))
        );
    end if;
end
$$;

revoke all on function raw.shape(text, text, json, text[], text[]) from public;
