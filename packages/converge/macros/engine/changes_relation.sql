{% macro changes_relation(relation) -%}
    {%- set name = converge.short_name(relation.schema ~ '__' ~ relation.identifier) -%}
    {{ return(api.Relation.create(schema=converge.state_schema(), identifier=name, type='table')) }}
{%- endmacro %}
