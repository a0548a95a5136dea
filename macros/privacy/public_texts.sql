{% macro public_texts() -%}
    select
        cast(null as varchar) as column_name,
        cast(null as varchar) as value
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.config.access == 'public' %}
    {%- set relation = load_relation(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) %}
    {%- for column in node.columns.values() if relation and column.data_type in ('string', 'text') and not column.meta.get('published') %}
    union all
    select
        '{{ node.name }}.{{ column.name }}',
        {{ column.name }}
    from {{ relation }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}
