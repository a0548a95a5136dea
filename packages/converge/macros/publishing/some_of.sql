{% macro some_of(names) -%}
    {#- The first names of a list, and how many more there are. -#}
    {{ return(names[:5] | join(', ') ~ (' and ' ~ (names | length - 5) ~ ' more' if names | length > 5 else '')) }}
{%- endmacro %}
