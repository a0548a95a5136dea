{% macro state_schema() -%}
    {{ return(generate_schema_name('converge', none) | trim) }}
{%- endmacro %}
