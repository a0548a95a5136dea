{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The default target names schemas by layer, without a prefix; any other target puts its own in front. -#}
    {#- An audit reads the seeds that the warehouse reads. -#}
    {%- if target.name == 'default' or (target.name == 'audit' and node.resource_type == 'seed') -%}
        {{ custom_schema_name or target.schema }}
    {%- else -%}
        {{ target.schema ~ ('_' ~ custom_schema_name if custom_schema_name) }}
    {%- endif -%}
{%- endmacro %}
