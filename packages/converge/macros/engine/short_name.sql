{% macro short_name(name) -%}
    {# PostgreSQL cuts a name at 63 bytes without a word; two long names must not become one. #}
    {{ return(name if name | length <= 63 else name[:30] ~ '_' ~ local_md5(name)) }}
{%- endmacro %}
