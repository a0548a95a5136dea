{#
    Grain: one row per record that was ever refused, as it last landed, with its status.
    A view: a correction in staging, or the end of a waiver, changes rows that no load has touched.
#}
{{ config(materialized='view') }}

with refused as (

    select
        refused.*,
        count(*) over (partition by record_id) as times_seen,
        min(_load_id) over (partition by record_id) as first_load_id,
        row_number() over (partition by record_id order by _load_id desc, _row desc) as age
    from {{ ref('refused_records') }} as refused

),

again as (

    {{ landed_again(ref('stg_ledger__loads')) }}

),

-- Only the latest landing of each record counts against its load.
latest as (

    select
        refused.*,
        coalesce(
            case
                {% for landed in landed_tables() %}
                when source = '{{ landed.source }}' and table_name = '{{ landed.name }}'
                    then {{ accepted_later(landed.source, landed.name, ref('stg_' ~ landed.source ~ '__' ~ landed.name)) }}
                {% endfor %}
            end,
            again.last_load_id
        ) as resolved_load_id
    from refused
    left join again
        on refused._load_id = again.load_id
    where age = 1

),

waivers as (

    select waivers.*
    from {{ ref('quarantine_waivers') }} as waivers
    where waivers.until >= (select {{ utc_date('max(loads.finished_at)') }} from {{ ref('stg_ledger__loads') }} as loads)

)

select
    latest.record_id,
    latest.source,
    latest.table_name,
    latest.record_key,
    case
        when latest.resolved_load_id is not null then 'resolved'
        when waivers.record_id is not null then 'waived'
        else 'pending'
    end as status,
    latest.errors,
    latest.error_types,
    latest.warnings,
    latest.record,
    first_loads.finished_at as first_seen_at,
    last_loads.finished_at as last_seen_at,
    latest.times_seen,
    latest.first_load_id,
    latest._load_id as last_load_id,
    latest._row as last_row,
    latest.resolved_load_id,
    waivers.waived_by,
    waivers.reason as waived_because,
    waivers.until as waived_until
from latest
left join {{ ref('stg_ledger__loads') }} as first_loads
    on latest.first_load_id = first_loads.load_id
left join {{ ref('stg_ledger__loads') }} as last_loads
    on latest._load_id = last_loads.load_id
left join waivers
    on latest.record_id = waivers.record_id
