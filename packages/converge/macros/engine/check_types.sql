{% macro check_types(plan, state) -%}
    {#-
        Stops with a message when a key, version or touched column has a type that PostgreSQL cannot sort, or when the
        `touched` block and the model give a column with types that are compared differently. PostgreSQL tells by
        an index on each of the two, and by explaining the query of the next, incremental run.
    -#}
    {%- set of_type = [] -%}
    {%- for column in (plan.key + plan.version + plan.touched) | unique -%}
        {%- do of_type.append(column ~ ' ' ~ plan.types[column]) -%}
    {%- endfor -%}
    {%- set no_order = "Keys, versions and touched columns are compared and sorted, and one of these types has no order: "
        ~ of_type | join(', ') ~ '. Use text, or another column that identifies the value.' -%}
    {%- set compared = (plan.key + plan.version + plan.touched) | unique | join(', ') -%}
    {%- set touched_types = [] -%}
    {%- for column in plan.touched -%}
        {%- do touched_types.append(column ~ ' ' ~ plan.types[column]) -%}
    {%- endfor -%}
    {%- call statement() -%}
        {{ converge.in_words(
            'explain select distinct ' ~ compared ~ ' from pg_temp.' ~ plan.probe_table ~ '; create index on pg_temp.' ~ plan.probe_table ~ ' (' ~ compared ~ ')',
            'undefined_function or undefined_object',
            no_order,
        ) }}
    {%- endcall -%}
    {%- if plan.touched -%}
        {%- call statement('converge_types', fetch_result=true) -%}
            {{ converge.in_words(
                'create temporary table ' ~ plan.touched_table ~ ' on commit drop as ' ~ converge.bind_touched(plan, state, 'create') ~ ' with no data',
                'undefined_column',
                "The `touched` block gives " ~ plan.touched | join(', ') ~ " and can read of each parent's changes only its key and what its meta.track names: "
                    ~ plan.inputs | selectattr('kind', 'equalto', 'changes') | map(attribute='words') | join(', ') ~ '.',
            ) }}
            create index on {{ plan.touched_table }} ({{ plan.touched | join(', ') }});
            with compared as (
                select
                    indrelid,
                    attname,
                    format_type(atttypid, atttypmod) as type,
                    -- What decides about `=`: the order, the collation, and for arrays and their like the type itself.
                    (opcfamily, attcollation, case when typtype = 'p' then atttypid end) as comparison
                from pg_index
                cross join lateral unnest(indkey::int2[], indclass::oid[]) as part (number, opclass)
                inner join pg_attribute on attrelid = indrelid and attnum = number
                inner join pg_opclass on pg_opclass.oid = opclass
                inner join pg_type on pg_type.oid = opcintype
                where indrelid in ('pg_temp.{{ plan.probe_table }}'::regclass, 'pg_temp.{{ plan.touched_table }}'::regclass)
            )

            select
                given.attname as name,
                given.type as given,
                asked.type as asked
            from compared as given
            inner join compared as asked on given.attname = asked.attname
            where
                given.indrelid = 'pg_temp.{{ plan.probe_table }}'::regclass
                and asked.indrelid = 'pg_temp.{{ plan.touched_table }}'::regclass
                and given.comparison is distinct from asked.comparison;
        {%- endcall -%}
        {%- for row in load_result('converge_types').table.rows -%}
            {{ exceptions.raise_compiler_error(
                "The `touched` block gives " ~ row.name ~ " as " ~ row.asked ~ ", the model as " ~ row.given
                ~ ", and these are compared differently (by type or by collation): the changed keys would not be found. Cast the column in the block to the model's type."
            ) }}
        {%- endfor -%}
        {%- call statement() -%}
            {% if plan.has_tens -%}
            create temporary table {{ plan.tens_table }} on commit drop as
            {{ converge.tens(plan.touched_table, plan.touched[0]) }}
            with no data;
            {%- endif %}
            {{ converge.in_words(
                'explain ' ~ converge.bind(plan, state, 'incremental'),
                'undefined_function or ambiguous_function or datatype_mismatch or indeterminate_collation or collation_mismatch',
                "What is given to `converge.touched_rows(…)` or `converge.is_touched(…)` must have the types that the `touched` block gives: " ~ touched_types | join(', ') ~ '.',
            ) }}
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
