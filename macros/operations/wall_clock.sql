{% macro wall_clock() -%}
    {#- The time at which a view is asked. Only for what people wait for: content of a table must not depend on it. -#}
    now()
{%- endmacro %}
