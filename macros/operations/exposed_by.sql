{% macro exposed_by() -%}
    {#-
        What stands downstream, from dbt's graph as it is in this build: a dict of exposures' labels, each a list, by landed
        table (`shop.orders`), by mart where it is built and as readers name it (`core.fct_orders`), and by group of published marts (`shop`).
        Empty while dbt parses.
    -#}
    {%- set found = {} -%}
    {%- for exposure in (graph.get('exposures', {}).values() if execute else []) | sort(attribute='label') -%}
        {%- set seen, todo = [], exposure.depends_on.nodes | list -%}
        {%- for _ in range(100000) if todo -%}
            {%- set id = todo.pop() -%}
            {%- if id not in seen -%}
                {%- do seen.append(id) -%}
                {%- set node = graph.sources.get(id) or graph.nodes.get(id) or {} -%}
                {%- set parents = node.depends_on.nodes if node.depends_on else [] -%}
                {#- A staging model reads the quarantine for its gate, of all sources: none of its rows are from there. -#}
                {%- for parent in parents if node.config.schema != 'staging' or graph.nodes.get(parent, {}).get('config', {}).get('schema', 'staging') == 'staging' -%}
                    {%- do todo.append(parent) -%}
                {%- endfor -%}
                {%- set names = [] -%}
                {%- if node.resource_type == 'source' -%}
                    {%- do names.append(node.source_name ~ '.' ~ node.name) -%}
                {%- elif node.resource_type == 'model' -%}
                    {%- set publish = (node.config.get('meta') or {}).get('publish') -%}
                    {%- do names.append(node.schema ~ '.' ~ node.alias) -%}
                    {%- do names.extend([publish.schema ~ '.' ~ node.alias, publish.group]) if publish -%}
                {%- endif -%}
                {%- for name in names if exposure.label not in found.get(name, []) -%}
                    {%- do found.setdefault(name, []).append(exposure.label) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
