{% macro changed_at(read) -%}
    {#- A table that is read in full, or by its change log, has no time of change that could be trusted. -#}
    {{ return('cast(null as timestamptz)' if read in ['full', 'change_log'] else '_version_at') }}
{%- endmacro %}
