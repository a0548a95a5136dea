{# Grain: one row per currency and first day of a rate, with the day it ends. #}
{{ config(materialized='ephemeral') }}

select
    currency,
    valid_from,
    lead(valid_from, 1, cast('9999-12-31' as date)) over (partition by currency order by valid_from) as valid_until,
    usd_per_unit
from {{ ref('exchange_rates') }}
