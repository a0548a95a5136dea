{% macro publish_copy(relation, name) -%}
    {#- A new table in the published schema with all that the built one has: rows, key, indexes, checks, comments. Returns its rows. -#}
    {%- set columns = relation.columns | join(', ') -%}
    {%- call statement('converge_copied', fetch_result=true) -%}
        create table {{ name }} (like {{ relation.built }} including all);
        {% if relation.options -%}
        alter table {{ name }} set ({{ relation.options }});
        {%- endif %}
        insert into {{ name }} ({{ columns }}) select {{ columns }} from {{ relation.built }};
        analyze {{ name }};
        select count(*) as copied from {{ name }}
    {%- endcall -%}
    {{ return(load_result('converge_copied').table.rows[0].copied | int) }}
{%- endmacro %}
