{% test not_null(model, column_name, context=[]) %}
{#- dbt's own tells a null. Fails with each row without a value, with its key and its context. -#}
select {{ told_columns(column_name, context) }}
from {{ model }}
where {{ column_name }} is null
{% endtest %}
