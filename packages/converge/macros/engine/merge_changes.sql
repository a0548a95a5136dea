{% macro merge_changes(target, plan, state, mode) -%}
    {#-
        1. touched: the keys that must be computed again
        2. new:     the rows that those keys should have now
        3. old:     the rows that they have, read once (a rebuild compares with the table itself)
        4. gone:    the rows of those keys that must be deleted
        5. Rows that are the same are removed from `new`. The old and new values of the rest are logged for the models
           downstream, and the rest is written, in one transaction with the watermark.
        The temporary tables are analysed, so that the planner knows how few rows are needed and uses indexes.
    -#}
    {%- set table = target.include(database=false) -%}
    {%- set changes = converge.changes_relation(target) -%}
    {%- set new = converge.beside(target, 'new') -%}
    {%- set gone = converge.beside(target, 'gone') -%}
    {%- set old = converge.beside(target, 'old') if mode == 'incremental' else table -%}
    {%- set columns = plan.columns -%}
    {%- set keeps_greatest = plan.strategy == 'upsert' and mode == 'incremental' -%}
    {%- set narrows = plan.strategy == 'replace_keys' and mode == 'incremental' -%}
    {%- set same_key = converge.each(plan.key, 'old.{} = new.{}', ' and ') -%}
    {%- set node = converge.node_comment() -%}

    {%- call statement('converge_new', fetch_result=true) -%}
        {% if narrows -%}
        create temporary table {{ plan.touched_table }} on commit drop as
        {{ converge.bind_touched(plan, state, mode) }} {{ node }};
        analyze {{ plan.touched_table }} {{ node }};
        {% if plan.has_tens -%}
        create temporary table {{ plan.tens_table }} on commit drop as
        {{ converge.tens(plan.touched_table, plan.touched[0]) }} {{ node }};
        analyze {{ plan.tens_table }} {{ node }};
        {%- endif %}
        {%- endif %}

        create temporary table {{ new }} (like {{ table }}) on commit drop {{ node }};
        insert into {{ new }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }} from (
            {{ converge.latest(converge.bind(plan, state, mode), plan) }}
        ) as model {{ node }};
        {% if narrows -%}
        -- An input that is read whole also gives rows of other keys, which are incomplete.
        delete from {{ new }} as new
        where not exists (select 1 from {{ plan.touched_table }} as touched where {{ converge.each(plan.touched, 'touched.{} = new.{}', ' and ') }}) {{ node }};
        {%- endif %}
        {% if plan.strategy == 'replace_keys' -%}
        {{ converge.in_words('alter table ' ~ new ~ ' add primary key (' ~ plan.key | join(', ') ~ ')', 'unique_violation', converge.key_words(target, plan)) }}
        {%- endif %}
        analyze {{ new }} {{ node }};

        {% if mode == 'incremental' -%}
        create temporary table {{ old }} on commit drop as
        {% if keeps_greatest -%}
        select old.* from {{ table }} as old where ({{ converge.each(plan.key, 'old.{}', ', ') }}) in (select {{ plan.key | join(', ') }} from {{ new }})
        {%- elif plan.has_tens -%}
        {{ converge.narrowed(table, plan.touched[0], plan.tens_table) }}
        {%- else -%}
        select old.* from {{ table }} as old where ({{ converge.each(plan.touched, 'old.{}', ', ') }}) in (select {{ plan.touched | join(', ') }} from {{ plan.touched_table }})
        {%- endif %} {{ node }};
        analyze {{ old }} {{ node }};
        {%- endif %}

        create temporary table {{ gone }} on commit drop as
        select old.* from {{ old }} as old
        where {{ 'false' if keeps_greatest else 'not exists (select 1 from ' ~ new ~ ' as new where ' ~ same_key ~ ')' }} {{ node }};

        delete from {{ new }} as new using {{ old }} as old
        where
            {{ same_key }}
            {% if keeps_greatest -%}
            and ({{ converge.each(plan.version, 'old.{}', ', ') }}) >= ({{ converge.each(plan.version, 'new.{}', ', ') }}) {{ node }};
            {%- else -%}
            and {{ converge.same_bytes(columns) }} {{ node }};
            {%- endif %}

        select (select count(*) from {{ new }}) as written, (select count(*) from {{ gone }}) as gone {{ node }};
    {%- endcall -%}

    {%- set counted = load_result('converge_new').table.rows[0] -%}
    {%- set version = (state | selectattr('kind', 'equalto', 'self') | first).seen + (1 if counted.written + counted.gone else 0) -%}
    {%- call statement('converge_state_written', fetch_result=true) -%}
        {% if counted.written + counted.gone -%}
        insert into {{ changes }} ({{ plan.track | join(', ') }}, _version)
        select {{ converge.each(plan.track, 'old.{}', ', ') }}, {{ version }}
        from {{ old }} as old
        inner join {{ new }} as new on {{ same_key }}
        where not {{ converge.same_bytes(plan.track) }}
        union all
        select {{ plan.track | join(', ') }}, {{ version }} from {{ gone }}
        union all
        select {{ plan.track | join(', ') }}, {{ version }} from {{ new }} {{ node }};

        delete from {{ table }} as old using {{ gone }} as new where {{ same_key }} {{ node }};

        insert into {{ table }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }} from {{ new }}
        -- The key too: an equal key may be written differently.
        on conflict ({{ plan.key | join(', ') }}) do update set {{ converge.each(columns, '{} = excluded.{}', ', ') }} {{ node }};
        {%- endif %}
        {{ converge.write_state(target, state, version) }}
    {%- endcall -%}
    {{ return({'message': mode | upper ~ ' +' ~ counted.written ~ ' -' ~ counted.gone, 'rows': (counted.written + counted.gone) | int}) }}
{%- endmacro %}
