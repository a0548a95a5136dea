{% materialization test, adapter='postgres' %}
    {#- dbt's own makes a table for each stored test, passed or not; this one makes it only of the rows of a test that found some. -#}
    {%- set found = get_limit_subquery_sql(sql, config.get('limit')) -%}
    {%- call statement('main', fetch_result=true) -%}
        {{ get_test_sql(found, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), limit=none) }}
    {%- endcall -%}
    {%- set kept = [] -%}
    {%- if should_store_failures() -%}
        {%- set place = api.Relation.create(database=database, schema=schema, identifier=model.alias, type='table') -%}
        {%- set before = load_cached_relation(place) -%}
        {%- set has_failures = load_result('main').data[0][0] | int > 0 -%}
        {%- if before or has_failures -%}
            {%- call statement('keep', auto_begin=true) -%}
                drop table if exists {{ place }};
                {% if has_failures %}create table {{ place }} as {{ found }}{% endif %}
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
        {%- if has_failures -%}
            {%- do kept.append(place) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return({'relations': kept}) }}
{% endmaterialization %}
