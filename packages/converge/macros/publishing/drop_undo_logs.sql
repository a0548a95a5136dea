{% macro drop_undo_logs(kept=[]) -%}
    {#-
        PL/pgSQL, with a variable `log`: drops the undo logs, but for those of these names. The change log of a table in a
        schema `undo` begins with the same letters, and is none.
    -#}
            for log in
                select oid::regclass from pg_class
                where
                    relnamespace = to_regnamespace({{ converge.literal(converge.state_table('inputs').include(identifier=false)) }})
                    and relname like 'undo\_\_%' and relkind = 'r'
                    and oid not in (select input_oid from {{ converge.state_table('inputs') }} where input = '(self)')
                    {%- if kept %}
                    and relname not in ({{ kept | join(', ') }})
                    {%- endif %}
            loop
                execute 'drop table ' || log;
            end loop;
{%- endmacro %}
