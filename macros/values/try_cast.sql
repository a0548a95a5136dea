{% macro try_cast(expression, type) -%}
    {{ return(adapter.dispatch('try_cast')(expression, type)) }}
{%- endmacro %}

{% macro postgres__try_cast(expression, type) -%}
    case
        when
            pg_input_is_valid({{ expression }}, '{{ type }}')
            {%- if type == 'timestamptz' %}
            -- PostgreSQL also reads 'yesterday' and 'now' as times, and they mean another time tomorrow.
            and {{ expression }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?(?: ?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?))?)?$'
            {%- endif %}
            then cast({{ expression }} as {{ type }})
    end
{%- endmacro %}
