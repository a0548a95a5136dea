{% macro retire(relation) -%}
    {#-
        Part of `switch_shapes`: drops what was replaced. What was granted on it by hand is granted on the new one first; what
        else hangs on it and would be dropped with it without a word is in the way.
    -#}
    {%- set retired = converge.beside_shown(relation, 'retired') -%}
    {%- set oid = converge.literal(retired) ~ '::regclass' -%}
    if to_regclass({{ converge.literal(retired) }}) is not null then
        for statement in
            select format(
                'grant %s%s on %s to %s%s',
                privilege_type, ' (' || quote_ident(attname) || ')', {{ converge.literal(relation.shown) }}, coalesce(quote_ident(rolname), 'public'), case when is_grantable then ' with grant option' end
            )
            from (
                select null::name as attname, relacl as acl, relowner from pg_class where oid = {{ oid }}
                union all
                select attname, attacl, null from pg_attribute where attrelid = {{ oid }} and attacl is not null
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
        select string_agg(what, ' and ' order by what) into said from (
            select 'its trigger ' || tgname as what from pg_trigger where tgrelid = {{ oid }} and not tgisinternal
            union all
            select 'its policy ' || polname from pg_policy where polrelid = {{ oid }}
            union all
            select 'its row level security' from pg_class where oid = {{ oid }} and relrowsecurity
            union all
            select 'its owner ' || relowner::regrole from pg_class where oid = {{ oid }} and relowner != quote_ident(current_role)::regrole
            union all
            select 'its rule ' || rulename from pg_rewrite where ev_class = {{ oid }} and rulename != '_RETURN'
            union all
            select 'its statistics ' || stxname from pg_statistic_ext where stxrelid = {{ oid }}
            union all
            select 'its place in the publication ' || pubname from pg_publication_rel inner join pg_publication on pg_publication.oid = prpubid where prrelid = {{ oid }}
        ) as lost;
        if said is not null then
            in_the_way := array_append(in_the_way, {{ converge.literal(relation.shown) }} || ' with ' || said);
        elsif in_the_way = '{}' then
            begin
                drop {{ 'table' if relation.shown_kind == 'r' else 'view' }} {{ retired }};
            exception when dependent_objects_still_exist then
                get stacked diagnostics said = pg_exception_detail;
                in_the_way := array_append(in_the_way, replace(said, e'\n', ', '));
            end;
        end if;
    end if;
{%- endmacro %}
