{#
    Grain: one row per table and day from its first change on; days without a change too.
    A view: every load may complete a day. It reads a row per table and day, and the outlier columns.
#}
{{ config(materialized='view') }}

with volumes as (

    select * from {{ ref('table_volumes_daily') }}

),

out_of_line as (

    select
        source,
        table_name,
        day,
        count(distinct column_name) as columns_out_of_line
    from {{ ref('column_statistics_daily') }}
    where verdict = 'warn'
    group by source, table_name, day

),

waiting as (

    select
        source,
        table_name,
        {{ utc_date('changed_at') }} as day,
        count(*) as waiting_rows
    from {{ ref('waiting_records') }}
    group by source, table_name, {{ utc_date('changed_at') }}

),

judged as (

    select
        volumes.source,
        volumes.table_name,
        volumes.day,
        volumes.landed_rows,
        volumes.accepted_rows,
        volumes.refused_rows,
        volumes.warned_rows,
        least(coalesce(waiting.waiting_rows, 0), volumes.accepted_rows) as waiting_rows,
        cast(round(cast(volumes.accepted_rows as numeric) / nullif(volumes.landed_rows, 0), 4) as numeric(5, 4)) as accepted_share,
        volumes.verdict as volume_verdict,
        cast(coalesce(out_of_line.columns_out_of_line, 0) as integer) as columns_out_of_line,
        case
            when volumes.verdict = 'not_judged' then 'not_judged'
            else {{ freshness_verdict('volumes.hours_behind', 'limits') }}
        end as freshness_verdict
    from volumes
    left join out_of_line
        on
            volumes.source = out_of_line.source
            and volumes.table_name = out_of_line.table_name
            and volumes.day = out_of_line.day
    left join waiting
        on
            volumes.source = waiting.source
            and volumes.table_name = waiting.table_name
            and volumes.day = waiting.day
    left join {{ ref('freshness_limits') }} as limits
        on
            volumes.source = limits.source
            and volumes.table_name = limits.table_name

)

select
    source,
    table_name,
    day,
    landed_rows,
    accepted_rows,
    refused_rows,
    warned_rows,
    waiting_rows,
    accepted_share,
    volume_verdict,
    columns_out_of_line,
    freshness_verdict,
    cast(case
        -- The worst day of a table is one on which nothing lands.
        when landed_rows = 0 and volume_verdict = 'warn' then 0
        else greatest(
            0,
            -- Accepted rows that wait for their order are in no sum of a mart yet.
            round(100 * coalesce(cast(accepted_rows - waiting_rows as numeric) / nullif(landed_rows, 0), 1))
            - case when volume_verdict = 'warn' then 30 else 0 end
            - least(5 * columns_out_of_line, 20)
            - case freshness_verdict when 'error' then 30 when 'warn' then 10 else 0 end
        )
    end as integer) as score
from judged
