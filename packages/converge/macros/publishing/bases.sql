{% macro bases(id, nodes, found) -%}
    {#- Adds to `found` the converging tables that a view shows, also through other views. -#}
    {%- for parent in converge.read_by(id, nodes) -%}
        {%- if nodes[parent].materialized == 'view' -%}
            {%- do converge.bases(parent, nodes, found) -%}
        {%- else -%}
            {%- do found.update({parent: true}) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
