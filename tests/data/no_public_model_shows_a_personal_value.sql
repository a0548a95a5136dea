-- Fails with each column of a public model, whatever its name, that has an e-mail address, name or address of anybody.
{{ config(tags=['audit']) }}

with personal as (

    {{ personal_values() }}

),

shown as (

    {{ public_texts() }}

)

select
    shown.column_name,
    count(*) as values_shown
from shown
inner join personal
    on shown.value = personal.value
group by shown.column_name
