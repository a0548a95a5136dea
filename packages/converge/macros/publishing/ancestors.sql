{% macro ancestors(id, nodes, found) -%}
    {#- Adds a node and all that it is built from to `found`, parents first. -#}
    {%- if id not in found -%}
        {%- for parent in ((nodes[id].inputs or nodes[id].parents) if id in nodes else []) -%}
            {%- do converge.ancestors(parent, nodes, found) -%}
        {%- endfor -%}
        {%- do found.update({id: true}) -%}
    {%- endif -%}
{%- endmacro %}
