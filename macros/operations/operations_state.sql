{% macro operations_state(name) -%}
    {#- A table of operations that commands append to (`alert_log`, `audit_log`, `report_log`): `start_operations` makes it, no model does. -#}
    {{ generate_schema_name('operations', {}) | trim if execute else 'operations' }}.{{ name }}
{%- endmacro %}
