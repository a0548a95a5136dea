{% macro tagged_above(node, found=none, seen=none) -%}
    {%- set found = {} if found is none else found -%}
    {%- set seen = [] if seen is none else seen -%}
    {%- for parent_id in node.depends_on.nodes if parent_id not in seen -%}
        {%- do seen.append(parent_id) -%}
        {%- set parent = graph.nodes.get(parent_id) or graph.sources.get(parent_id) -%}
        {%- for column in parent.columns.values() if column.meta.get('pii') -%}
            {%- do found.update({column.name: column.meta.pii}) -%}
        {%- endfor -%}
        {%- if parent.resource_type == 'model' -%}
            {%- do tagged_above(parent, found, seen) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
