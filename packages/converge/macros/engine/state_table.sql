{% macro state_table(name) -%}
    {{ return(api.Relation.create(schema=converge.state_schema(), identifier=name)) }}
{%- endmacro %}
