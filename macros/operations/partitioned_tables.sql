{% macro partitioned_tables() -%}
    {#- The landed tables that are declared with partitions, each as `source.table`: each partition is a load of its own. Empty while dbt parses. -#}
    {%- set found = [] -%}
    {%- for table in (graph.get('sources', {}) if execute else {}).values() if table.config.meta.get('partitions') -%}
        {%- do found.append(table.source_name ~ '.' ~ table.name) -%}
    {%- endfor -%}
    {{ return(found | sort) }}
{%- endmacro %}
