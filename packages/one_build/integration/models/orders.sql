{# Grain: one row per order. Sleeps three seconds, so that a test can tell its duration from the other models'. #}
select
    order_id,
    customer,
    amount
from {{ ref('raw_orders') }}, (select pg_sleep(3)) as work
