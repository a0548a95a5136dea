{% macro json_elements(array) -%}
    {{ return(adapter.dispatch('json_elements')(array)) }}
{%- endmacro %}

{% macro postgres__json_elements(array) -%}
    lateral jsonb_array_elements({{ array }})
{%- endmacro %}
