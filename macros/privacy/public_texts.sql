{% macro public_texts() -%}
    select
        cast(null as varchar) as column_name,
        cast(null as varchar) as value
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.config.access == 'public' %}
    {#- As it is built, and as readers have it: of a build that is held back, these are not the same. -#}
    {%- for place in [api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias), published_relation(node)] if place %}
    {%- set relation = load_relation(place) %}
    {%- for column in node.columns.values() if relation and column.data_type in ('string', 'text') and not column.meta.get('published') %}
    union all
    select
        '{{ place.schema }}.{{ node.name }}.{{ column.name }}',
        {{ column.name }}
    from {{ relation }}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}
