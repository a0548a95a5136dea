{% macro describe(target, plan, state) -%}
    {#-
        What only the database can say about the model: the columns that it gives, their types, and whether the table has
        the same. A column that the model names and does not give stops the model here, with a message.
        Keys that are arrays cannot be looked up ten at a time: PostgreSQL has no array of arrays.
    -#}
    {%- call statement('converge_columns', fetch_result=true) -%}
        create temporary table {{ plan.probe_table }} on commit drop as (
            {{ converge.bind(plan, state, 'create') }}
        ) with no data;
        select
            attrelid = 'pg_temp.{{ plan.probe_table }}'::regclass as is_given,
            attname as plain,
            quote_ident(attname) as quoted,
            {{ "''" if config.get('contract').enforced else "concat_ws(' ', format_type(atttypid, atttypmod), attcollation)" }} as shape,
            format_type(atttypid, atttypmod) as type,
            typcategory = 'A' as is_array
        from pg_attribute
        inner join pg_type on pg_type.oid = atttypid
        where
            attrelid in ('pg_temp.{{ plan.probe_table }}'::regclass, to_regclass('{{ target.include(database=false) }}'))
            and attnum > 0
            and not attisdropped
        order by attnum;
    {%- endcall -%}
    {%- set named = plan.key + plan.version + plan.track + plan.touched -%}
    {%- set given, there, types, arrays = [], [], {}, [] -%}
    {%- for row in load_result('converge_columns').table.rows -%}
        {%- if row.plain in named and row.plain != row.quoted -%}
            {{ exceptions.raise_compiler_error("The column " ~ row.plain ~ " needs quotes wherever it is named: " ~ tojson(row.quoted) ~ " in unique_key, meta (version, track) and `touched`. Without them PostgreSQL takes the word for something else.") }}
        {%- endif -%}
        {%- do (given if row.is_given else there).append([row.quoted, row.shape]) -%}
        {%- do types.update({row.quoted: row.type}) if row.is_given -%}
        {%- do arrays.append(row.quoted) if row.is_given and row.is_array -%}
    {%- endfor -%}
    {%- set names = given | map('first') | list -%}
    {%- for column in named if column not in names -%}
        {{ exceptions.raise_compiler_error(
            "The model gives no column " ~ column ~ ", which its unique_key, its meta (version, track) or its `touched` block names. It gives " ~ names | join(', ') ~ "."
        ) }}
    {%- endfor -%}
    {{ return({
        'columns': names,
        'types': types,
        'is_shaped_alike': given | sort == there | sort,
        'has_tens': plan.touched | length == 1 and plan.touched[0] not in arrays,
    }) }}
{%- endmacro %}
