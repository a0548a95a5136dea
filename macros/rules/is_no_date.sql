{% macro is_no_date(timestamp) -%}
    {#- True for a time before 2000 or after 2099, for which we have no calendar. -#}
    ({{ timestamp }} < '2000-01-01' or {{ timestamp }} >= '2100-01-01')
{%- endmacro %}
