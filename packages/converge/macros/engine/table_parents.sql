{% macro table_parents(node) -%}
    {#- The relations a model really reads: ephemeral parents are looked through. -#}
    {%- set found = [] -%}
    {%- for parent_id in node.depends_on.nodes -%}
        {%- set parent = graph.nodes.get(parent_id) or graph.sources.get(parent_id) -%}
        {%- if not parent -%}
            {{ exceptions.raise_compiler_error("A converging model cannot follow " ~ parent_id ~ ".") }}
        {%- endif -%}
        {%- set is_ephemeral = parent.resource_type == 'model' and parent.config.materialized == 'ephemeral' -%}
        {%- for relation in (converge.table_parents(parent) if is_ephemeral else [parent]) if relation not in found -%}
            {%- do found.append(relation) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
