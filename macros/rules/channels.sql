{% macro channels(part) -%}
    {#- A line for each channel whose staging models have the columns that docs/how-to/add-an-api.md asks for. -#}
    {%- set models = {
        'marketplace': {'orders': 'stg_marketplace__orders', 'lines': 'stg_marketplace__order_lines', 'payments': 'stg_marketplace__payments'},
    } -%}
    {%- set found = {} -%}
    {%- for channel, parts in models.items() if part in parts -%}
        {%- do found.update({channel: parts[part]}) -%}
    {%- endfor -%}
    {#- A unit test has the first of them: one more channel asks its rows for nothing. -#}
    {{ return((found.items() | list)[:1] if model.resource_type == 'unit_test' else found.items() | list) }}
{%- endmacro %}
