{% macro postgres__get_where_subquery(relation) -%}
    {#- What a generic test looks at: dbt's own `where`, and of a converging model the rows that a run changed. -#}
    {%- set tested = graph.nodes.get(model.attached_node) if execute else none -%}
    {%- set conditions = [config.get('where')] if config.get('where') else [] -%}
    {%- if tested and tested.config.materialized == 'converging' -%}
        {%- set key = tested.config.unique_key -%}
        {%- do conditions.append(converge.is_tested(relation, *([key] if key is string else key))) -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') as tested' if conditions else relation) }}
{%- endmacro %}
