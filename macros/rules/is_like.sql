{% macro is_like(text, pattern) -%}
    {{ return(adapter.dispatch('is_like')(text, pattern)) }}
{%- endmacro %}

{% macro postgres__is_like(text, pattern) -%}
    {#- Bounds as `{1,40}` and groups that capture make a pattern slow: the length is looked at apart. -#}
    ({{ text }} ~ '^{{ pattern }}$' and length({{ text }}) <= 40)
{%- endmacro %}
