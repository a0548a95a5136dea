{% macro read_by(id, nodes) -%}
    {#- The ids of what a node reads; ephemeral parents are looked through. -#}
    {%- set found = [] -%}
    {%- for parent in nodes[id].parents -%}
        {%- if parent in nodes and nodes[parent].materialized == 'ephemeral' -%}
            {%- do found.extend(converge.read_by(parent, nodes)) -%}
        {%- else -%}
            {%- do found.append(parent) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found | unique | list) }}
{%- endmacro %}
