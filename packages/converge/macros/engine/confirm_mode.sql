{% macro confirm_mode(mode, target, plan, state) -%}
    {#-
        What only the database can say about the mode: a table with other columns than the model gives is created anew,
        and a parent whose log no longer reaches back to where this table stopped is compared as a whole.
        Columns that the model names and does not give, or that a parent does not track, stop here, with words.
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
            {{ "''" if config.get('contract').enforced else 'format_type(atttypid, atttypmod)' }} as type
        from pg_attribute
        where
            attrelid in ('pg_temp.{{ probe }}'::regclass, to_regclass('{{ target.include(database=false) }}'))
            and attnum > 0
            and not attisdropped
        order by attnum;
    {%- endcall -%}
    {%- set named = plan.key + plan.version + plan.track + plan.touched -%}
    {%- set given, there = [], [] -%}
    {%- for row in load_result('converge_columns').table.rows -%}
        {%- do (given if row.is_given else there).append([row.plain if row.plain in named else row.quoted, row.type]) -%}
    {%- endfor -%}
    {%- set names = given | map('first') | list -%}
    {%- for column in named if column not in names -%}
        {{ exceptions.raise_compiler_error(
            "The model gives no column " ~ column ~ ", which its unique_key, its meta (version, track) or its `touched` block names. It gives " ~ names | join(', ') ~ "."
        ) }}
    {%- endfor -%}
    {%- do plan.update({'columns': names}) -%}

    {%- set ns = namespace(mode=mode if given | sort == there | sort else 'create') -%}
    {%- for input in plan.inputs if ns.mode == 'incremental' and input.kind == 'changes' -%}
        {%- set row = state | selectattr('input', 'equalto', input.name) | first -%}
        {%- if row.bound > row.seen and not run_query('select 1 from ' ~ converge.changes_relation(input.relation) ~ ' where _version = ' ~ (row.seen + 1) ~ ' limit 1').rows -%}
            {%- set ns.mode = 'rebuild' -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if plan.touched and ns.mode != 'incremental' -%}
        {%- call statement() -%}
            {{ converge.in_words(
                'explain ' ~ converge.bind_touched(plan, state, ns.mode),
                'undefined_column',
                "The `touched` block gives " ~ plan.touched | join(', ') ~ " and knows of each parent's changes only its key and what its meta.track names: "
                    ~ plan.inputs | selectattr('kind', 'equalto', 'changes') | map(attribute='words') | join(', ') ~ '.',
            ) }}
        {%- endcall -%}
    {%- endif -%}
    {{ return(ns.mode) }}
{%- endmacro %}
