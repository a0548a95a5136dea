{% macro staging_key(source, table) -%}
    {#- A judged row's key in staging, as an object; null where it can't be used: staging will never have it. -#}
    {%- set key = converge.as_list(staging_node(source, table).config.unique_key) -%}
    case
        when _has_key
            then jsonb_build_object({% for column in key %}'{{ column }}', {{ column }}{{ ', ' if not loop.last }}{% endfor %})
    end
{%- endmacro %}
