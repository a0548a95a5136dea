{% macro confirm_mode(mode, target, plan, state) -%}
    {#-
        What only the database can say about the mode: a table with other columns than the model gives is created anew,
        and a parent whose log no longer reaches back to where this table stopped is compared as a whole.
        Columns that the model names and does not give, that a parent does not track, or whose types cannot be looked up or
        answer each other, stop here with words: what a later run would stumble over, the first one finds.
    -#}
    {%- set probe = converge.beside(target, 'probe') -%}
    {%- call statement('converge_columns', fetch_result=true) -%}
        create temporary table {{ probe }} on commit drop as (
            {{ converge.bind(plan, state, 'create') }}
        ) with no data;
        select
            attrelid = 'pg_temp.{{ probe }}'::regclass as is_given,
            attname as plain,
            quote_ident(attname) as quoted,
            {{ "''" if config.get('contract').enforced else "concat_ws(' ', format_type(atttypid, atttypmod), attcollation)" }} as shape,
            format_type(atttypid, atttypmod) as type,
            typcategory = 'A' as is_array
        from pg_attribute
        inner join pg_type on pg_type.oid = atttypid
        where
            attrelid in ('pg_temp.{{ probe }}'::regclass, to_regclass('{{ target.include(database=false) }}'))
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
    {#- An array of arrays is none of arrays: such keys are looked up one by one. -#}
    {%- do plan.update({'columns': names, 'types': types, 'has_tens': plan.touched | length == 1 and plan.touched[0] not in arrays}) -%}

    {%- set ns = namespace(mode=mode if given | sort == there | sort else 'create') -%}
    {%- for input in plan.inputs if ns.mode == 'incremental' and input.kind == 'changes' -%}
        {%- set row = state | selectattr('input', 'equalto', input.name) | first -%}
        {%- if row.bound > row.seen and not run_query('select 1 from ' ~ converge.changes_relation(input.relation) ~ ' where _version = ' ~ (row.seen + 1) ~ ' limit 1').rows -%}
            {%- set ns.mode = 'rebuild' -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if ns.mode != 'incremental' -%}
        {%- do converge.check_types(target, plan, state, probe) -%}
    {%- endif -%}
    {{ return(ns.mode) }}
{%- endmacro %}
