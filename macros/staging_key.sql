{% macro staging_key(source, table) -%}
    {#- A judged row's key in staging, as an object; null where a part of it is. -#}
    {%- set key = converge.as_list(staging_node(source, table).config.unique_key) -%}
    case
        when {% for column in key %}{{ column }} is not null{{ ' and ' if not loop.last }}{% endfor %}
            then jsonb_build_object({% for column in key %}'{{ column }}', {{ column }}{{ ', ' if not loop.last }}{% endfor %})
    end
{%- endmacro %}
