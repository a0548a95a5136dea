{#
    Grain: one row per table and reason for which staging refused its records.
    A view: a correction in staging changes it, which no load has touched. It reads what was ever refused.
#}
{{ config(materialized='view') }}

with reasons as (

    select * from {{ ref('refusal_reasons') }}
    where severity = 'error'

),

pending as (

    select
        record_id,
        last_load_id,
        last_row
    from {{ ref('quarantined_records') }}
    where status = 'pending'

)

select
    reasons.source,
    reasons.table_name,
    cast(reasons.code as varchar) as code,
    cast(reasons.error_type as varchar) as error_type,
    cast(reasons.words as varchar) as words,
    count(distinct reasons.record_id) as refused_records,
    -- A record counts for the reasons of its last landing.
    count(distinct pending.record_id) as pending_records,
    min(loads.finished_at) as first_refused_at,
    max(loads.finished_at) as last_refused_at
from reasons
inner join {{ ref('stg_ledger__loads') }} as loads
    on reasons._load_id = loads.load_id
left join pending
    on
        reasons.record_id = pending.record_id
        and reasons._load_id = pending.last_load_id
        and reasons._row = pending.last_row
group by reasons.source, reasons.table_name, reasons.code, reasons.error_type, reasons.words
