{% macro row_values(row) -%}
    {{ return(adapter.dispatch('row_values')(row)) }}
{%- endmacro %}

{% macro postgres__row_values(row) -%}
    lateral jsonb_each_text(to_jsonb({{ row }}.*))
{%- endmacro %}
