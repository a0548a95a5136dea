{% macro json_array(document, path) -%}
    {{ return(adapter.dispatch('json_array')(document, path)) }}
{%- endmacro %}

{% macro postgres__json_array(document, path) -%}
    case when jsonb_typeof({{ document }} -> '{{ path }}') = 'array' then {{ document }} -> '{{ path }}' end
{%- endmacro %}
