{% macro changed_at(source, table) -%}
    {#- A table that is read in full has no time of change that could be trusted. Named here: a unit test of dbt has no graph. -#}
    {{ return('cast(null as timestamptz)' if (source, table) in [('shop', 'products')] else '_version_at') }}
{%- endmacro %}
