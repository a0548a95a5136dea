{% test accepted_plus_refused_is_landed(model, refused_records) %}
{#- Fails with each load that lost or made a row between landing and staging, or whose refused rows are not kept. -#}
with loads as (

    select * from {{ model }}

),

kept as (

    select
        _load_id as load_id,
        count(*) as kept_rows
    from {{ refused_records }}
    where _load_id in (select loads.load_id from loads)
    group by _load_id

)

select
    loads.load_id,
    loads.source,
    loads.table_name,
    loads.landed_rows,
    loads.accepted_rows,
    loads.refused_rows,
    coalesce(kept.kept_rows, 0) as kept_rows
from loads
left join kept
    on loads.load_id = kept.load_id
where
    loads.accepted_rows + loads.refused_rows != loads.landed_rows
    or loads.refused_rows != coalesce(kept.kept_rows, 0)
{% endtest %}
