{% macro shown_to_readers(model_name) -%}
    {#-
        What readers see of a published model, as a relation; none before its first publication, and while dbt parses. It is
        no `ref`: whoever reads it is built without waiting for the model, and in a DAG that does not build it.
    -#}
    {%- if not execute -%}{{ return(none) }}{%- endif -%}
    {%- for node in graph.get('nodes', {}).values() if node.resource_type == 'model' and node.name == model_name -%}
        {%- set shown = published_relation(node) -%}
        {{ return(adapter.get_relation(shown.database, shown.schema, shown.identifier)) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
