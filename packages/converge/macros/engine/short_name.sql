{% macro short_name(name) -%}
    {# PostgreSQL cuts names at 63 bytes without an error; two long names must not become the same. #}
    {%- set bytes = name.encode('utf-8') -%}
    {{ return(name if bytes | length <= 63 else bytes[:30].decode('utf-8', 'ignore') ~ '_' ~ local_md5(name)) }}
{%- endmacro %}
