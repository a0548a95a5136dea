{% macro invalidate(inputs) -%}
    {#-
        For `dbt run-operation`, after landed rows were changed where they stand: every table that has read one of these
        inputs compares all of it in its next run. That is asked of every state schema in the database that this role may
        write, so that the tables of other targets follow too. A run that is at work may have read the old rows: it ends first.
    -#}
    {%- set names = [] -%}
    {%- for input in converge.as_list(inputs) -%}
        {%- do names.append(converge.literal(input)) -%}
    {%- endfor -%}
    {%- set is_meant = 'input in (' ~ names | join(', ') ~ ')' -%}
    {%- set states = run_query("
        select quote_ident(nspname) || '.' || quote_ident(relname) as inputs
        from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
        where
            relname = 'inputs' and relkind = 'r' and has_table_privilege(pg_class.oid, 'update')
            and (select array_agg(attname::text) from pg_attribute where attrelid = pg_class.oid and attnum > 0)
                @> array['relation', 'input', 'input_oid', 'bound']
        order by nspname
    ").rows if names else [] -%}
    {%- for state in states -%}
        {%- set readers = run_query("
            select distinct nspname || '.' || relname as name
            from " ~ state.inputs ~ " inner join pg_class on pg_class.oid = relation inner join pg_namespace on pg_namespace.oid = relnamespace
            where " ~ is_meant ~ "
            order by name
        ").rows -%}
        {%- for reader in readers -%}
            {%- do converge.lock_model(reader.name) -%}
            {%- do log(reader.name ~ ' will compare its whole input in its next run', info=true) -%}
        {%- endfor -%}
        {%- call statement() -%}
            -- No table has this oid: what was read is another input than the one that is there.
            update {{ state.inputs }} set input_oid = 0 where {{ is_meant }};
        {%- endcall -%}
    {%- endfor -%}
    {%- if states -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
