{% macro odd_in_raw() -%}
    {#-
        Grain: one row per thing in the raw schemas that is not a plain table of rows, and so could run code of its owner's
        as whoever reads or updates it, or hide rows. Also read by `make forget` (storehouse/operate/forget/macros.py), so
        no dbt in here.
    -#}
    with relations as (

        select
            c.oid,
            n.nspname || '.' || c.relname as name,
            c.relkind,
            c.relowner,
            c.relrowsecurity
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where n.nspname ~ '^raw(_|$)'

    ),

    -- Whoever may log in as the owner may replace a table at any time.
    owned as (

        select name, relowner as owner from relations where relkind != 'i'
        union all
        select 'schema ' || nspname, nspowner from pg_catalog.pg_namespace where nspname ~ '^raw(_|$)'

    )

    select
        name,
        'is a ' || case relkind
            when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' when 'c' then 'type'
            else 'partitioned table'
        end as what
    from relations
    where relkind not in ('r', 'S', 'i')
    union all
    select relations.name, 'has the trigger ' || tgname
    from pg_catalog.pg_trigger join relations on relations.oid = tgrelid
    union all
    select relations.name, 'has the rule ' || rulename
    from pg_catalog.pg_rewrite join relations on relations.oid = ev_class and relkind = 'r'
    union all
    select name, 'has row security'
    from relations
    where relrowsecurity or oid in (select polrelid from pg_catalog.pg_policy)
    union all
    select relations.name, 'inherits, or is inherited from'
    from pg_catalog.pg_inherits join relations on relations.oid in (inhrelid, inhparent)
    union all
    select relations.name, 'has a column with a default or a generated value'
    from pg_catalog.pg_attrdef join relations on relations.oid = adrelid
    union all
    select relations.name, 'has the constraint ' || conname
    from pg_catalog.pg_constraint join relations on relations.oid = conrelid
    where
        contype not in ('p', 'u', 'n')
        and pg_catalog.pg_get_constraintdef(pg_constraint.oid) != $$CHECK ((_op = ANY (ARRAY['u'::text, 'd'::text])))$$
    union all
    -- An index's expression, a domain, an operator, a collation: of somebody's own making, and not of an extension.
    select relations.name, 'uses ' || pg_catalog.pg_describe_object(used.refclassid, used.refobjid, 0)
    from pg_catalog.pg_depend as used
    left join pg_catalog.pg_constraint on used.classid = 'pg_catalog.pg_constraint'::regclass and pg_constraint.oid = used.objid
    join relations
        on (used.classid = 'pg_catalog.pg_class'::regclass and relations.oid = used.objid)
        or relations.oid = pg_constraint.conrelid
    where
        used.refobjid >= 16384
        and used.refclassid not in (
            'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_constraint'::regclass
        )
        and not exists (
            select from pg_catalog.pg_depend as member
            where member.classid = used.refclassid and member.objid = used.refobjid and member.deptype = 'e'
        )
    union all
    select owned.name, 'belongs to ' || rolname || ', who can log in'
    from owned join pg_catalog.pg_roles on pg_roles.oid = owner
    where
        rolcanlogin
        and not rolsuper
        and rolname != current_user
        and pg_roles.oid != (select datdba from pg_catalog.pg_database where datname = pg_catalog.current_database())
{%- endmacro %}
