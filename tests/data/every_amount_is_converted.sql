{{ config(severity='warn') }}
-- Warns of each currency that orders changed in and that has no rate for some of them: they have no amount in US dollars.
-- Add it: `make rates CURRENCIES=…`, or rows of your own in seeds/exchange_rates.csv.
select
    currency,
    count(*) as orders,
    sum(total_amount) as total_amount,
    min(order_date) as first_order_date,
    max(order_date) as last_order_date
from {{ converge.tested(ref('fct_orders'), 'order_id') }} as changed
where
    total_usd is null
    or paid_usd is null
group by currency
