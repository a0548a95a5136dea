{% macro changed_at(read) -%}
    {#- A table that is read in full has no time of change that could be trusted. -#}
    {{ return('cast(null as timestamptz)' if read == 'full' else '_version_at') }}
{%- endmacro %}
