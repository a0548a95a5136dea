{{ config(severity='warn', group='core') }}
-- Warns of each currency in which orders changed that are converted with the rate of a month that was over for longer than
-- the var `rate_grace_days`. Run `make rates`, or add rows to seeds/exchange_rates.csv.
with orders as (

    select
        currency,
        order_date
    from {{ converge.tested(ref('fct_orders'), 'order_id') }} as changed
    -- US dollars need no rate.
    where currency != 'USD'

)

select
    orders.currency,
    rates.valid_from as rate_of_month,
    count(*) as orders,
    max(orders.order_date) as last_order_date
from orders
inner join {{ ref('int_exchange_rates__ranged') }} as rates
    on
        orders.currency = rates.currency
        and cast(date_trunc('month', orders.order_date) as date) = rates.rate_month
        and orders.order_date >= rates.valid_from
        and orders.order_date < rates.valid_until
where
    orders.order_date >= {{ dbt.dateadd('day', var('rate_grace_days'), dbt.dateadd('month', 1, 'rates.valid_from')) }}
group by orders.currency, rates.valid_from
