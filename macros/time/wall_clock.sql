{% macro wall_clock() -%}
    {#- Only for views that tell of the pipeline itself: what was landed gives the same marts on any day. -#}
    {{ return(adapter.dispatch('wall_clock')()) }}
{%- endmacro %}

{% macro postgres__wall_clock() -%}
    now()
{%- endmacro %}
