{% macro switch_shapes(new_tables, views, relations, definitions) -%}
    {#-
        Puts new tables in the place of those of another shape, and writes views whose definition changed or that stand on
        such a table:
        1. a new table, filled under the name `…__publishing`, takes the published name; the old one becomes `…__retired`
        2. published views are written anew, over what has the name now
        3. so are the views of readers, where they stand (`repoint`)
        4. what is retired is dropped (`retire`)
        Returns what stands in the way, in words: then nothing of this may be committed.

        This waits for readers, and they for it. If each waits for the other, PostgreSQL ends one after deadlock_timeout, a
        second. So that it is never a reader, this waits for a fraction of that, lets go of all, and tries again; after a
        minute it waits as any statement does.
    -#}
    {%- set readers = converge.views_of_readers(relations) -%}
    {%- call statement('converge_in_the_way', fetch_result=true) -%}
        do $converge$
        declare
            in_the_way text[];
            said text;
            statement text;
            timeout integer := (select setting from pg_settings where name = 'lock_timeout');
            is_patient boolean := false;
            began timestamptz := clock_timestamp();
        begin
            loop
                begin
                    in_the_way := '{}';
                    perform set_config('lock_timeout', case when is_patient then timeout else least(nullif(timeout, 0), 300) end::text, true);
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
                    exception
                        when lock_not_available or deadlock_detected then raise;
                        when others then
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
                    {{ converge.retire(relations[id]) }}
                    {%- endfor %}
                    exit;
                exception when lock_not_available then
                    if is_patient then
                        raise;
                    end if;
                    is_patient := clock_timestamp() - began > least(nullif(timeout, 0), 60000) * interval '1 millisecond';
                    perform pg_sleep(0.2);
                end;
            end loop;
            perform
                set_config('converge.in_the_way', array_to_string(in_the_way, '; '), true),
                set_config('lock_timeout', timeout::text, true);
        end
        $converge$;
        {{ converge.name_in_full(false) }}
        select current_setting('converge.in_the_way') as words
    {%- endcall -%}
    {{ return(load_result('converge_in_the_way').table.rows[0].words) }}
{%- endmacro %}
