{#
    Grain: one row per web payment that waits for its order: how long, and whether too long.
    A view: a payment grows overdue though nothing about it changes. It is as of the end of the last interval read of the orders.
#}
{{ config(materialized='view') }}

with waiting as (

    select * from {{ ref('waiting_payments') }}

),

as_of as (

    select max(coalesce(interval_until, started_at)) as as_of_at
    from {{ ref('stg_ledger__loads') }}
    where
        source = 'shop'
        and table_name = 'orders'

),

aged as (

    select
        waiting.*,
        as_of.as_of_at,
        {{ dbt.dateadd('day', var('payment_grace_days'), 'waiting.waiting_since') }} as due_at
    from waiting
    cross join as_of

)

select
    payment_id,
    source_payment_id,
    order_id,
    status,
    amount,
    currency,
    waiting_since,
    due_at,
    as_of_at,
    due_at < as_of_at as is_overdue,
    _load_id
from aged
