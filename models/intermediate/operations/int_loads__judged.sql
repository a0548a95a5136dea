{# Grain: one row per load with at least one row: how many of them were accepted, refused, warned about. #}
{{ config(unique_key='load_id') }}

{% call converge.touched('load_id') %}
    select load_id from {{ converge.changes(ref('int_loads__profiled')) }}
{% endcall %}

select
    load_id,
    source,
    table_name,
    cast(sum(judged_rows) as bigint) as judged_rows,
    cast(sum(accepted_rows) as bigint) as accepted_rows,
    cast(sum(refused_rows) as bigint) as refused_rows,
    cast(sum(warned_rows) as bigint) as warned_rows
from {{ converge.touched_rows(ref('int_loads__profiled'), 'load_id') }} as touched
where column_name = '*'
group by load_id, source, table_name
