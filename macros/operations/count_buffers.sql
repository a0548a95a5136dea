{% macro count_buffers(counted, since, forgotten) -%}
    {#-
        In PL/pgSQL: how many pages the statements of each node of this target have looked up since the statistics began, as a
        JSON object, where the extension pg_stat_statements is there and loaded; else nothing. Statements are counted for
        whoever their comment names.
    -#}
    begin
        execute (
            select replace($query$
                select jsonb_object_agg(node, buffers), max(stats_reset), max(dealloc)
                from (
                    select
                        substring(query from '"node_id": "([^"]+)"') as node,
                        sum(shared_blks_hit + shared_blks_read + local_blks_hit + local_blks_read) as buffers
                    from %.pg_stat_statements
                    where
                        dbid = (select oid from pg_database where datname = current_database())
                        and query like '%"target_name": "{{ target.name }}"%'
                    group by node
                ) as statements cross join %.pg_stat_statements_info
                where node is not null
            $query$, '%.', extnamespace::regnamespace || '.')
            from pg_extension where extname = 'pg_stat_statements'
        ) into {{ counted }}, {{ since }}, {{ forgotten }};
    exception when others then null;
    end;
{%- endmacro %}
