{% macro made_relations() -%}
    {#-
        Grain: one row per relation that a node of the project makes: what it builds, what readers see of it, where a test
        leaves the rows that it finds, and what operations keeps. While dbt parses, the graph is not known, and there is none.
    -#}
    {%- set made = [] -%}
    {%- for node in (graph.get('nodes', {}).values() if execute else []) -%}
        {%- if (node.resource_type in ('model', 'seed', 'snapshot') and node.config.materialized != 'ephemeral') or node.config.get('store_failures') -%}
            {%- set shown = published_relation(node) if node.resource_type == 'model' -%}
            {%- for relation in [[node.schema, node.alias], [shown.schema, shown.identifier] if shown] if relation -%}
                {%- do made.append("('" ~ relation[0] ~ "', '" ~ relation[1] ~ "')") -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {#- No node makes these: start_operations does. -#}
    {%- for name in ['alert_log', 'audit_log', 'report_log'] -%}
        {%- do made.append("('" ~ (operations_state(name) | trim).split('.') | join("', '") ~ "')") -%}
    {%- endfor -%}
    select
        cast(schema_name as varchar) as schema_name,
        cast(relation_name as varchar) as relation_name
    from (values {{ made | unique | sort | join(', ') or "('', '')" }}) as made (schema_name, relation_name)
{%- endmacro %}
