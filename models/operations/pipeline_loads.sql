{# Grain: one row per load: how many rows landed, were accepted, refused, warned about. #}
{{ config(unique_key='load_id') }}

{% call converge.touched('load_id') %}
    select load_id from {{ converge.changes(ref('stg_ledger__loads')) }}
    union all
    select load_id from {{ converge.changes(ref('int_loads__judged')) }}
{% endcall %}

with loads as (

    select * from {{ converge.touched_rows(ref('stg_ledger__loads'), 'load_id') }} as touched

),

judged as (

    select * from {{ converge.touched_rows(ref('int_loads__judged'), 'load_id') }} as touched

)

select
    loads.load_id,
    loads.source,
    loads.table_name,
    loads.partition,
    loads.kind,
    loads.interval_from,
    loads.interval_until,
    loads.landed_rows,
    coalesce(judged.accepted_rows, 0) as accepted_rows,
    coalesce(judged.refused_rows, 0) as refused_rows,
    coalesce(judged.warned_rows, 0) as warned_rows,
    loads.landed_bytes,
    loads.started_at,
    loads.finished_at,
    loads.run_id
from loads
left join judged
    on loads.load_id = judged.load_id
