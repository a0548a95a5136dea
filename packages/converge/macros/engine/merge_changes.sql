{% macro merge_changes(target, plan, state, mode, sql) -%}
    {#
        1. touched: the keys that changed inputs touch
        2. new:     what those keys should be now
        3. gone:    rows of those keys that should be no more
        4. What is not different leaves `new`; old and new of the rest are logged for the readers downstream; then they
           are written, in one transaction with the watermark.
        The temporary tables are analysed: the planner knows how few rows are asked for and probes indexes.
    #}
    {%- set table = target.include(database=false) -%}
    {%- set changes = converge.changes_relation(target) -%}
    {%- set new = converge.short_name(target.identifier ~ '__new') -%}
    {%- set gone = converge.short_name(target.identifier ~ '__gone') -%}
    {%- set touched = {'name': converge.short_name(target.identifier ~ '__touched'), 'columns': plan.touched_columns} -%}
    {%- set columns = converge.columns_of(table) -%}
    {%- set keeps_greatest = plan.strategy == 'upsert' and mode == 'incremental' -%}
    {%- set same_key = converge.each(plan.key, 'old.{} = new.{}', ' and ') -%}

    {%- call statement('converge_new', fetch_result=true) -%}
        {% if touched.columns and mode == 'incremental' -%}
        create temporary table {{ touched.name }} on commit drop as
        select distinct {{ touched.columns | join(', ') }} from (
            {{ converge.bind_changes(plan.touched_sql, state) }}
        ) as touched
        where {{ converge.each(touched.columns, '{} is not null', ' and ') }};
        analyze {{ touched.name }};
        {%- endif %}

        create temporary table {{ new }} (like {{ table }}) on commit drop;
        insert into {{ new }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }} from (
            {{ converge.latest(converge.bind(sql, state, mode, touched), plan) }}
        ) as model;
        analyze {{ new }};

        create temporary table {{ gone }} on commit drop as
        select old.* from {{ table }} as old
        where
            {% if keeps_greatest -%}
            false
            {%- else -%}
            not exists (select 1 from {{ new }} as new where {{ same_key }})
            {%- if mode == 'incremental' %}
            and ({{ converge.each(touched.columns, 'old.{}', ', ') }}) in (select {{ touched.columns | join(', ') }} from {{ touched.name }})
            {%- endif %}
            {%- endif %};

        delete from {{ new }} as new using {{ table }} as old
        where
            {{ same_key }}
            {% if keeps_greatest -%}
            and ({{ converge.each(plan.version, 'old.{}', ', ') }}) >= ({{ converge.each(plan.version, 'new.{}', ', ') }});
            {%- else -%}
            and ({{ converge.each(columns, 'old.{}', ', ') }}) is not distinct from ({{ converge.each(columns, 'new.{}', ', ') }});
            {%- endif %}

        select (select count(*) from {{ new }}) as written, (select count(*) from {{ gone }}) as gone;
    {%- endcall -%}

    {%- set counted = load_result('converge_new').table.rows[0] -%}
    {%- set version = (state | selectattr('kind', 'equalto', 'self') | first).seen + (1 if counted.written + counted.gone else 0) -%}
    {%- call statement('converge_write') -%}
        {% if counted.written + counted.gone -%}
        insert into {{ changes }} ({{ plan.track | join(', ') }}, _version)
        select {{ plan.track | join(', ') }}, {{ version }} from (
            select {{ converge.each(plan.track, 'old.{}', ', ') }} from {{ table }} as old inner join {{ new }} as new on {{ same_key }}
            union
            select {{ plan.track | join(', ') }} from {{ gone }}
            union
            select {{ plan.track | join(', ') }} from {{ new }}
        ) as changed;

        delete from {{ table }} as old using {{ gone }} as new where {{ same_key }};

        insert into {{ table }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }} from {{ new }}
        on conflict ({{ plan.key | join(', ') }}) do
        {%- set others = columns | reject('in', plan.key) | list %}
        {%- if others %} update set {{ converge.each(others, '{} = excluded.{}', ', ') }}{% else %} nothing{% endif %};
        {%- endif %}
        {{ converge.write_state(target, state, version, false) }}
    {%- endcall -%}
    {{ return(mode | upper ~ ' +' ~ counted.written ~ ' -' ~ counted.gone) }}
{%- endmacro %}
