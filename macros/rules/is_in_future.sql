{% macro is_in_future(timestamp, until='_latest_at') -%}
    {#- A time after 2099 is impossible, whenever it was seen: one cause has one reason. -#}
    ({{ timestamp }} > {{ until }} and {{ timestamp }} < '2100-01-01')
{%- endmacro %}
