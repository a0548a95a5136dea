{# Grain: one row per cohort (month of the first order) and month in which some of it bought. #}
{{ config(unique_key=['cohort_month', 'order_month']) }}

{% call converge.touched('cohort_month') %}
    select cohort_month from {{ converge.changes(ref('int_customer_months__summed')) }}
{% endcall %}

with months as (

    select
        cohort_month,
        order_month,
        count(*) as active_customers,
        sum(orders) as orders,
        sum(spend_usd) as spend_usd
    from {{ ref('int_customer_months__summed') }}
    where {{ converge.is_touched('cohort_month') }}
    group by cohort_month, order_month

),

-- Everybody of a cohort bought in its first month.
sized as (

    select
        *,
        first_value(active_customers) over (partition by cohort_month order by order_month) as cohort_customers
    from months

)

select
    cohort_month,
    order_month,
    cast({{ dbt.datediff('cohort_month', 'order_month', 'month') }} as integer) as month_number,
    cohort_customers,
    active_customers,
    cast(round(cast(active_customers as numeric) / nullif(cohort_customers, 0), 4) as numeric(5, 4)) as retention_share,
    cast(orders as bigint) as orders,
    cast(spend_usd as numeric(18, 2)) as spend_usd
from sized
