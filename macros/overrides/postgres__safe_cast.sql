{% macro postgres__safe_cast(field, type) -%}
    {#- dbt's own, and lists: a unit test may expect `[one, two]` of an array of text. -#}
    {%- if type == 'ARRAY' and field is not string -%}
        array[{% for element in field %}{{ dbt.string_literal(dbt.escape_single_quotes(element)) }}{{ ', ' if not loop.last }}{% endfor %}]
    {%- else -%}
        cast({{ field }} as {{ 'text[]' if type == 'ARRAY' else type }})
    {%- endif -%}
{%- endmacro %}
