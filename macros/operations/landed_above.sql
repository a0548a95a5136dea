{% macro landed_above(model_name) -%}
    {#- The landed tables that a model stands on, each as `source.table`, from dbt's graph as it is in this build. Empty while dbt parses. -#}
    {%- set found, seen, todo = [], [], [] -%}
    {%- for id, node in (graph.get('nodes', {}) if execute else {}).items() if node.resource_type == 'model' and node.name == model_name -%}
        {%- do todo.append(id) -%}
    {%- endfor -%}
    {%- for _ in range(100000) if todo -%}
        {%- set id = todo.pop() -%}
        {%- if id in graph.sources and graph.sources[id].config.meta.get('connector') -%}
            {%- do found.append(graph.sources[id].source_name ~ '.' ~ graph.sources[id].name) -%}
        {%- elif id in graph.nodes -%}
            {%- set node = graph.nodes[id] -%}
            {#- A staging model reads the quarantine for its gate, of all sources: none of its rows are from there. -#}
            {%- for parent in node.depends_on.nodes if parent not in seen and (node.config.schema != 'staging' or graph.nodes.get(parent, {}).get('config', {}).get('schema', 'staging') == 'staging') -%}
                {%- do seen.append(parent) -%}
                {%- do todo.append(parent) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found | sort) }}
{%- endmacro %}
