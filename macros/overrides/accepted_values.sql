{% test accepted_values(model, column_name, values, quote=true, context=[]) %}
{#- dbt's own tells the value and a count. Fails with each row of another value, with its key and its context. -#}
select {{ told_columns(column_name, context) }}
from {{ model }}
where
    {{ column_name }} not in (
        {% for value in values -%}
            {{ dbt.string_literal(value) if quote else value }}{{ ',' if not loop.last }}
        {% endfor -%}
    )
{% endtest %}
