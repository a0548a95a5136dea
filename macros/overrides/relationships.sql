{% test relationships(model, column_name, to, field, context=[]) %}
{#- dbt's own tells the missing value alone. Fails with each row whose value `to` has not, with its key and its context. -#}
with tested_rows as (

    select * from {{ model }}

)

select {{ told_columns(column_name, context) }}
from tested_rows
where
    {{ column_name }} is not null
    and not exists (select 1 from {{ to }} as parents where parents.{{ field }} = tested_rows.{{ column_name }})
{% endtest %}
