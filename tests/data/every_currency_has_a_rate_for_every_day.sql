-- Fails with each currency that has no rate on 2000-01-01: an order without a rate would be missing from the marts.
with first_rates as (

    select
        currency,
        min(valid_from) as first_rate_date
    from {{ ref('exchange_rates') }}
    group by currency

)

select
    currencies.currency,
    first_rates.first_rate_date
from {{ ref('currencies') }} as currencies
left join first_rates
    on currencies.currency = first_rates.currency
where
    first_rates.first_rate_date is null
    or first_rates.first_rate_date > '2000-01-01'
