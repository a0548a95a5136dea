{% macro create_table(target, plan, state) -%}
    {#-
        Builds beside the old table and swaps in the same transaction: readers see the old one until the commit,
        and a killed run leaves nothing behind.
    -#}
    {%- set table = target.include(database=false) -%}
    {%- set building = target.incorporate(path={'identifier': converge.short_name(target.identifier ~ '__building')}) -%}
    {%- set changes = converge.changes_relation(target) -%}
    {%- set kind = state[0].target_kind -%}
    {%- set never_null = (plan.key + plan.version + plan.touched) | unique | list -%}
    {%- call statement('converge_build', fetch_result=true) -%}
        {{ get_create_table_as_sql(false, building, converge.latest(converge.bind(plan, state, 'create'), plan)) }}
        {{ converge.in_words(
            'alter table ' ~ building ~ converge.each(never_null, ' alter column {} set not null', ',') ~ ', add primary key (' ~ plan.key | join(', ') ~ ')',
            'not_null_violation or unique_violation',
            converge.key_words(target, plan),
        ) }}
        {% if plan.touched != plan.key[:plan.touched | length] -%}
        create index on {{ building }} ({{ plan.touched | join(', ') }});
        {%- endif %}
        select count(*) from {{ building }};
    {%- endcall -%}
    {%- set rows = load_result('converge_build').table.rows[0][0] -%}
    {%- do create_indexes(building) -%}
    {%- call statement('converge_swap') -%}
        analyze {{ building }};
        drop table if exists {{ changes }};
        create table {{ changes }} as select {{ plan.track | join(', ') }}, 0::bigint as _version from {{ building }} limit 0;
        create index on {{ changes }} (_version);
        -- A run replaces few rows of many: their room is free again before the next run, and the table does not swell.
        alter table {{ building }} set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
        {% if kind -%}
        drop {{ {'v': 'view', 'm': 'materialized view'}.get(kind, 'table') }} {{ table }} cascade;
        {%- endif %}
        alter table {{ building }} rename to {{ target.include(database=false, schema=false) }};
        {{ converge.write_state(target, state, 1) }}
    {%- endcall -%}
    {#- The views that stood on the old table went with it, and dbt does not know. -#}
    {%- do adapter.cache_dropped(target) -%}
    {{ return('CREATE ' ~ rows) }}
{%- endmacro %}
