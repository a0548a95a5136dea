{% macro postgres__snapshot_get_time() -%}
    {#- dbt's own has no time zone; our times do. -#}
    current_timestamp
{%- endmacro %}
