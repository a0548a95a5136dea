{% macro as_list(value) -%}
    {{ return([] if not value else [value] if value is string else value | list) }}
{%- endmacro %}
