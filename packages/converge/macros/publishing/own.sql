{% macro own(id, nodes, found) -%}
    {#- Adds to `found` the ephemeral models that are part of a node: their tests are tests of it. -#}
    {%- for parent in nodes[id].parents if parent in nodes and nodes[parent].materialized == 'ephemeral' -%}
        {%- do found.update({parent: true}) -%}
        {%- do converge.own(parent, nodes, found) -%}
    {%- endfor -%}
{%- endmacro %}
