{% macro told_columns(column_name, context) -%}
    {#- What a failing row tells: the key of the tested model, the column, and the columns of the context. -#}
    {%- set tested = graph.nodes.get(model.attached_node) if execute else none -%}
    {%- set key = (tested.config.unique_key or []) if tested else [] -%}
    {{ return((([key] if key is string else key) + [column_name] + context) | unique | join(', ')) }}
{%- endmacro %}
