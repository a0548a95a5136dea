{# Grain: one row per order. Slow, as a large table would be. #}
select
    order_id,
    customer,
    amount
from {{ ref('raw_orders') }}, (select pg_sleep(3)) as work
