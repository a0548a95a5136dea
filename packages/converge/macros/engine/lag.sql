{% macro lag() -%}
    {#- The query of the view `lag`: how far each table has read each of its inputs, and whether a run would find more. -#}
    with tables as (
        select
            pg_class.oid,
            nspname || '.' || relname as name,
            coalesce(pg_relation_filenode(pg_class.oid), pg_class.oid) as file
        from pg_class
        inner join pg_namespace on pg_namespace.oid = relnamespace
    )

    select
        reader.name as relation,
        seen.input,
        seen.bound as consumed,
        own.bound as available,
        parent.oid is null
        -- The input was made anew or invalidated. A source is known by its file, other inputs by their oid.
        or seen.input_oid not in (parent.oid, parent.file)
        or coalesce(own.bound > seen.bound, false) as is_behind
    from {{ converge.state_table('inputs') }} as seen
    inner join tables as reader on seen.relation = reader.oid
    left join tables as parent on seen.input = parent.name
    left join {{ converge.state_table('inputs') }} as own on parent.oid = own.relation and own.input = '(self)'
    where seen.input not in ('(self)', '(code)', '(shape)')
{%- endmacro %}
