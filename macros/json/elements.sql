{% macro elements(array) -%}
    {{ return(adapter.dispatch('elements')(array)) }}
{%- endmacro %}

{% macro postgres__elements(array) -%}
    lateral unnest({{ array }})
{%- endmacro %}
