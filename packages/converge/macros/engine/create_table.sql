{% macro create_table(target, plan, state) -%}
    {#-
        Builds a new table and replaces the old one in the same transaction: readers see the old table until the commit,
        and a killed run leaves nothing behind.
    -#}
    {%- set table = target.include(database=false) -%}
    {%- set building = target.incorporate(path={'identifier': converge.short_name(target.identifier ~ '__building')}) -%}
    {%- set changes = converge.changes_relation(target) -%}
    {%- set kind = state[0].target_kind -%}
    {%- set never_null = (plan.key + plan.version + plan.touched) | unique | list -%}
    {%- call statement('converge_build', fetch_result=true) -%}
        {{ get_create_table_as_sql(false, building, converge.latest(converge.bind(plan, state, 'create'), plan) ~ converge.node_comment()) }}
        {{ converge.in_words(
            'alter table ' ~ building ~ converge.each(never_null, ' alter column {} set not null', ',') ~ ', add primary key (' ~ plan.key | join(', ') ~ ')',
            'not_null_violation or unique_violation',
            converge.key_words(target, plan),
        ) }}
        {% if plan.touched != plan.key[:plan.touched | length] -%}
        create index on {{ building }} ({{ plan.touched | join(', ') }}) {{ converge.node_comment() }};
        {%- endif %}
        select count(*) from {{ building }};
    {%- endcall -%}
    {%- set rows = load_result('converge_build').table.rows[0][0] -%}
    {%- do create_indexes(building) -%}
    {%- call statement('converge_state_written', fetch_result=true) -%}
        analyze {{ building }};
        drop table if exists {{ changes }};
        create table {{ changes }} as select {{ plan.track | join(', ') }}, 0::bigint as _version from {{ building }} limit 0;
        create index on {{ changes }} (_version);
        -- A run replaces few rows of many. Vacuum frees their space before the next run, so that the table does not grow.
        alter table {{ building }} set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
        {% if kind -%}
        drop {{ {'v': 'view', 'm': 'materialized view'}.get(kind, 'table') }} {{ table }} cascade;
        {%- endif %}
        alter table {{ building }} rename to {{ target.include(database=false, schema=false) }};
        {{ converge.write_state(target, state, 1) }}
    {%- endcall -%}
    {#- The views on the old table were dropped with it, and dbt's cache does not know. -#}
    {%- do adapter.cache_dropped(target) -%}
    {{ return({'message': 'CREATE ' ~ rows, 'rows': rows | int}) }}
{%- endmacro %}
