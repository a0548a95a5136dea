{% macro state_table(name) -%}
    {#- Quoted, whatever the project's `quoting` says: a log has the name of its table in its own. -#}
    {{ return(api.Relation.create(schema=converge.state_schema(), identifier=name, quote_policy={'schema': true, 'identifier': true})) }}
{%- endmacro %}
