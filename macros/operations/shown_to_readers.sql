{% macro shown_to_readers(model_name, columns) -%}
    {#-
        What readers see of a published model, as a relation; none before its first publication, while it lacks one of these
        columns (a build with new ones is published after this is asked), and while dbt parses. It is no `ref`: whoever reads
        it is built without waiting for the model, and in a DAG that does not build it.
    -#}
    {%- if not execute -%}{{ return(none) }}{%- endif -%}
    {%- for node in graph.get('nodes', {}).values() if node.resource_type == 'model' and node.name == model_name -%}
        {%- set shown = published_relation(node) -%}
        {%- set relation = adapter.get_relation(shown.database, shown.schema, shown.identifier) -%}
        {%- set there = adapter.get_columns_in_relation(relation) | map(attribute='name') | list if relation else [] -%}
        {{ return(relation if not columns | reject('in', there) | list else none) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
