{% materialization view, adapter='postgres' %}
    {#-
        dbt's own makes each view beside the old one and drops that, with every view that stands on it: those are gone until
        the same run makes them anew, and stay away when it stops before. This one replaces the view where it stands. Only
        a view whose columns changed in another way than by new ones at the end is dropped and made anew.
    -#}
    {%- set existing, view = load_cached_relation(this), this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {%- if existing and not existing.is_view -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set create = get_create_view_as_sql(view, sql) | trim -%}
    {%- call statement('main') -%}
        do $dbt_view$
        begin
            execute $dbt_create${{ create | replace('create view', 'create or replace view', 1) }}$dbt_create$;
        exception when invalid_table_definition then
            drop view {{ view }} cascade;
            execute $dbt_create${{ create }}$dbt_create$;
        end
        $dbt_view$
    {%- endcall -%}
    {%- do apply_grants(view, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=False)) -%}
    {%- do persist_docs(view, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [view]}) }}
{% endmaterialization %}
