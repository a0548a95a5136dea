{% macro views_of_readers(relations) -%}
    {#-
        Views that others made on published relations: by the oid of the relation, rows of their name and of the statement
        that writes them anew where they stand, so that they keep their oid, owner and grants. To be asked while the
        relations still have their names; names are in full.
    -#}
    {%- set shown, readers = ['0'], {} -%}
    {%- for relation in relations.values() if relation.shown_oid -%}{%- do shown.append(relation.shown_oid | string) -%}{%- endfor -%}
    {%- call statement('converge_readers', fetch_result=true) -%}
        {{ converge.name_in_full(true) }}
        select distinct
            refobjid::bigint as shown_oid,
            quote_ident(nspname) || '.' || quote_ident(relname) as name,
            'create or replace view ' || quote_ident(nspname) || '.' || quote_ident(relname)
            || coalesce(' with (' || array_to_string(reloptions, ', ') || ')', '') || ' as ' || pg_get_viewdef(pg_class.oid) as statement
        from pg_depend
        inner join pg_rewrite as rule on classid = 'pg_rewrite'::regclass and objid = rule.oid
        inner join pg_class on pg_class.oid = ev_class
        inner join pg_namespace on pg_namespace.oid = relnamespace
        where
            refclassid = 'pg_class'::regclass
            and refobjid in ({{ shown | join(', ') }})
            and ev_class not in ({{ shown | join(', ') }})
            and relkind = 'v'
        order by name
    {%- endcall -%}
    {%- for row in load_result('converge_readers').table.rows -%}
        {%- do readers.setdefault(row.shown_oid | int, []).append(row) -%}
    {%- endfor -%}
    {{ return(readers) }}
{%- endmacro %}
