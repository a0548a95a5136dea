{% macro postgres__get_where_subquery(relation) -%}
    {#- What a generic test looks at: dbt's own `where`, and of a converging model the rows that a run changed. -#}
    {%- set tested = graph.nodes.get(model.attached_node) if execute else none -%}
    {%- set rows = relation -%}
    {%- set conditions = [config.get('where')] if config.get('where') else [] -%}
    {%- if tested and tested.config.materialized == 'converging' -%}
        {%- set key = tested.config.unique_key -%}
        {%- if key is string -%}
            {%- set rows = converge.tested(relation, key) ~ ' as changed' -%}
        {%- else -%}
            {%- do conditions.append(converge.is_tested(relation, *key)) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return('(select * from ' ~ rows ~ (' where ' ~ conditions | join(' and ') if conditions else '') ~ ') as tested' if rows is string or conditions else relation) }}
{%- endmacro %}
