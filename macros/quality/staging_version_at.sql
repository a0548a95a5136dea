{% macro staging_version_at(source, table, row=none) -%}
    {#- A judged row's time of change, null where it has none that can be read: its versions go by load. -#}
    {%- set column = (row ~ '.' if row else '') ~ '_version_at' -%}
    {%- if '_version_at' in staging_node(source, table).config.meta.get('version', ['_version_at']) -%}
        nullif({{ column }}, cast('1900-01-01' as timestamptz))
    {%- else -%}
        cast(null as timestamptz)
    {%- endif -%}
{%- endmacro %}
