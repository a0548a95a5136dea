{#
    Grain: one row per currency, month and rate that is valid in it, with the days between which it is. The month is there to
    be joined by: with ranges alone each order would be compared with every month of its currency.
#}
{{ config(materialized='ephemeral') }}

with ranged as (

    select
        currency,
        valid_from,
        lead(valid_from, 1, cast('9999-12-31' as date)) over (partition by currency order by valid_from) as valid_until,
        usd_per_unit
    from {{ ref('exchange_rates') }}

)

select
    ranged.currency,
    months.month as rate_month,
    ranged.valid_from,
    ranged.valid_until,
    ranged.usd_per_unit
from ranged
cross join {{ months_in('ranged.valid_from', "least(ranged.valid_until, cast('2100-01-01' as date))") }} as months
-- Any other was a slip, and must neither divide nor turn amounts round: its days have no rate, and a test warns of them.
where ranged.usd_per_unit > 0
