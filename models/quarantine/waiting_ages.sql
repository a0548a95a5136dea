{#
    Grain: one row per record that waits for its order: how long, and whether too long.
    A view: a record becomes overdue although nothing about it changes. It is as of the end of the last interval read of the orders;
    while no order was ever read, of the last interval read of the shop.
#}
{{ config(materialized='view') }}

with waiting as (

    select * from {{ ref('waiting_records') }}

),

as_of as (

    select
        coalesce(
            max(case when table_name = 'orders' then coalesce(interval_until, started_at) end),
            max(coalesce(interval_until, started_at))
        ) as as_of_at
    from {{ ref('stg_ledger__loads') }}
    where source = 'shop'

),

aged as (

    select
        waiting.*,
        as_of.as_of_at,
        {{ dbt.dateadd('day', var('waiting_grace_days'), 'waiting.waiting_since') }} as due_at
    from waiting
    cross join as_of

)

select
    record_id,
    source,
    table_name,
    order_id,
    waiting_since,
    due_at,
    as_of_at,
    due_at < as_of_at as is_overdue,
    _load_id
from aged
