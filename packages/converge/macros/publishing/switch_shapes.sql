{% macro switch_shapes(new_tables, views, relations, definitions) -%}
    {#-
        Puts new tables in the place of those of another shape, and writes views whose definition changed or that stand
        on such a table. Views of readers on a relation that is replaced are repointed where they stand, so that they keep
        their oid, owner and grants. Returns what stands in the way: then nothing of this may be committed.
        Waits for readers: last in the transaction, and only when a shape or a definition changed.
    -#}
    {%- set readers = {} -%}
    {%- set own = ['0'] -%}
    {%- for relation in relations.values() if relation.shown_oid -%}{%- do own.append(relation.shown_oid | string) -%}{%- endfor -%}
    {%- do converge.name_in_full(true) -%}
    {%- for row in run_query("
        select distinct
            refobjid::bigint as shown_oid,
            quote_ident(nspname) || '.' || quote_ident(relname) as name,
            'create or replace view ' || quote_ident(nspname) || '.' || quote_ident(relname)
                || coalesce(' with (' || array_to_string(reloptions, ', ') || ')', '') || ' as ' || pg_get_viewdef(pg_class.oid) as statement
        from pg_depend
        inner join pg_rewrite as rule on classid = 'pg_rewrite'::regclass and objid = rule.oid
        inner join pg_class on pg_class.oid = ev_class
        inner join pg_namespace on pg_namespace.oid = relnamespace
        where refclassid = 'pg_class'::regclass and refobjid in (" ~ own | join(', ') ~ ") and ev_class not in (" ~ own | join(', ') ~ ") and relkind = 'v'
        order by name
    ").rows -%}
        {%- do readers.setdefault(row.shown_oid | int, []).append(row) -%}
    {%- endfor -%}
    {%- call statement() -%}
        do $converge$
        declare
            in_the_way text[] := '{}';
            said text;
            statement text;
        begin
            {%- for id in new_tables %}
            {%- set relation = relations[id] %}
            alter table {{ relation.shown }} rename to {{ converge.beside_shown(relation, 'retired', false) }};
            alter table {{ converge.beside_shown(relation, 'publishing') }} rename to {{ adapter.quote(relation.name) }};
            {%- endfor %}
            {%- for id in views %}
            {%- set relation = relations[id] %}
            {%- set create = ' view ' ~ relation.shown ~ (' with (' ~ relation.options ~ ')' if relation.options else '') ~ ' as ' ~ definitions[id] %}
            begin
                execute {{ converge.literal('create or replace' ~ create) }};
            exception when others then
                {% if relation.shown_oid -%}
                -- Its columns are others.
                alter view {{ relation.shown }} rename to {{ converge.beside_shown(relation, 'retired', false) }};
                execute {{ converge.literal('create' ~ create) }};
                {{ converge.repoint(readers.get(relation.shown_oid | int, [])) }}
                {%- else -%}
                raise;
                {%- endif %}
            end;
            {%- endfor %}
            {%- for id in new_tables %}
            {{ converge.repoint(readers.get(relations[id].shown_oid | int, [])) }}
            {%- endfor %}
            {%- for id in (views | reverse | list) + new_tables if relations[id].shown_oid %}
            {%- set relation = relations[id] %}
            {%- set retired = converge.beside_shown(relation, 'retired') %}
            if to_regclass({{ converge.literal(retired) }}) is not null then
                -- What was granted by hand stays granted.
                for statement in
                    select format(
                        'grant %s%s on {{ relation.shown | replace("'", "''") | replace('%', '%%') }} to %s%s',
                        privilege_type, ' (' || quote_ident(attname) || ')', coalesce(quote_ident(rolname), 'public'), case when is_grantable then ' with grant option' end
                    )
                    from (
                        select null::name as attname, relacl as acl, relowner from pg_class where oid = {{ converge.literal(retired) }}::regclass
                        union all
                        select attname, attacl, null from pg_attribute where attrelid = {{ converge.literal(retired) }}::regclass and attacl is not null
                    ) as acls
                    cross join aclexplode(acl)
                    left join pg_roles on pg_roles.oid = grantee
                    where (grantee = 0 or rolname is not null) and grantee is distinct from relowner
                loop
                    begin
                        execute statement;
                    exception when undefined_column then null;
                    end;
                end loop;
                if in_the_way = '{}' then
                    begin
                        {% if relation.shown_kind == 'r' -%}
                        select string_agg(what, ' and ') into said from (
                            select 'its trigger ' || tgname as what from pg_trigger where tgrelid = {{ converge.literal(retired) }}::regclass and not tgisinternal
                            union all
                            select 'its policy ' || polname from pg_policy where polrelid = {{ converge.literal(retired) }}::regclass
                        ) as lost;
                        if said is not null then
                            in_the_way := array_append(in_the_way, {{ converge.literal(relation.shown) }} || ' with ' || said);
                        end if;
                        {%- endif %}
                        drop {{ 'table' if relation.shown_kind == 'r' else 'view' }} {{ retired }};
                    exception when dependent_objects_still_exist then
                        get stacked diagnostics said = pg_exception_detail;
                        in_the_way := array_append(in_the_way, replace(said, e'\n', ', '));
                    end;
                end if;
            end if;
            {%- endfor %}
            perform set_config('converge.in_the_way', array_to_string(in_the_way, '; '), true);
        end
        $converge$
    {%- endcall -%}
    {%- set in_the_way = run_query("select current_setting('converge.in_the_way') as words").rows[0].words -%}
    {%- do converge.name_in_full(false) -%}
    {{ return(in_the_way) }}
{%- endmacro %}
