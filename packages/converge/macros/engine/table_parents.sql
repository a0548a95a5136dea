{% macro table_parents(node) -%}
    {# The relations a model really reads: ephemeral parents are looked through. #}
    {%- set found = [] -%}
    {%- for parent_id in node.depends_on.nodes -%}
        {%- set parent = graph.nodes.get(parent_id) or graph.sources.get(parent_id) -%}
        {%- if parent.resource_type == 'model' and parent.config.materialized == 'ephemeral' -%}
            {%- for further in converge.table_parents(parent) if further not in found -%}
                {%- do found.append(further) -%}
            {%- endfor -%}
        {%- elif parent not in found -%}
            {%- do found.append(parent) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
