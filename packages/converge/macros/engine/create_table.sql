{% macro create_table(target, plan, state, sql) -%}
    {#
        Builds beside the old table and swaps in the same transaction: readers see the old one until the commit,
        and a killed run leaves nothing behind.
    #}
    {%- set table = target.include(database=false) -%}
    {%- set building = api.Relation.create(schema=target.schema, identifier=converge.short_name(target.identifier ~ '__building'), type='table') -%}
    {%- set changes = converge.changes_relation(target) -%}
    {%- set kind = state[0].target_kind -%}
    {%- call statement('converge_build', fetch_result=true) -%}
        {{ get_create_table_as_sql(false, building, converge.latest(converge.bind(sql, state, 'create', none), plan)) }}
        alter table {{ building }} {{ converge.each((plan.key + plan.version) | unique, 'alter column {} set not null', ', ') }};
        alter table {{ building }} add primary key ({{ plan.key | join(', ') }});
        {% if plan.touched_columns != plan.key[:plan.touched_columns | length] -%}
        create index on {{ building }} ({{ plan.touched_columns | join(', ') }});
        {%- endif %}
        analyze {{ building }};
        select count(*) from {{ building }};
    {%- endcall -%}
    {%- call statement('converge_swap') -%}
        drop table if exists {{ changes }};
        create table {{ changes }} as select {{ plan.track | join(', ') }}, 0::bigint as _version from {{ building }} limit 0;
        create index on {{ changes }} (_version);
        {% if kind -%}
        drop {{ {'v': 'view', 'm': 'materialized view'}.get(kind, 'table') }} {{ table }} cascade;
        {%- endif %}
        alter table {{ building }} rename to {{ target.identifier }};
        {{ converge.write_state(target, state, 1, true) }}
    {%- endcall -%}
    {#- The views that stood on the old table went with it, and dbt does not know. -#}
    {%- do adapter.cache_dropped(target) -%}
    {%- do create_indexes(target) -%}
    {{ return('CREATE ' ~ load_result('converge_build').table.rows[0][0]) }}
{%- endmacro %}
