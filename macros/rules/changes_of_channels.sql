{% macro changes_of_channels(part) -%}
    {%- for channel, model in channels(part) -%}
        select order_id from {{ converge.changes(ref(model)) }}{{ ' union all ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
