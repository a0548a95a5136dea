{% macro published_relation(node) -%}
    {#- What readers see of a model: a relation, or none where the model itself is what is read. -#}
    {%- set publish = (node.config.get('meta') or {}).get('publish') -%}
    {{ return(api.Relation.create(database=node.database, schema=generate_schema_name(publish.schema, node) | trim, identifier=node.alias) if publish else none) }}
{%- endmacro %}
