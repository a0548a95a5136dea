{% test shows_no_personal_value(model) %}
-- Fails with each customer of whom a column, whatever its name, has the e-mail address, name or address as it landed.
with shown as (

    select * from {{ model }}

),

personal as (

    {{ personal_values('staged.customer_id in (select customer_id from shown)') }}

)

select
    shown.customer_id,
    columns.key as column_name
from shown
cross join {{ row_values('shown') }} as columns
inner join personal
    on
        shown.customer_id = personal.customer_id
        and columns.value = personal.value
{% endtest %}
