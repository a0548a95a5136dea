{# Grain: one row per cohort (month of the first order) and month in which customers of it bought or were refunded. #}
{{ config(unique_key=['cohort_month', 'order_month']) }}

{% call converge.touched('cohort_month') %}
    select cohort_month from {{ converge.changes(ref('int_cohort_months__summed')) }}
{% endcall %}

-- Every customer of a cohort bought in its first month.
with sized as (

    select
        *,
        first_value(active_customers) over (partition by cohort_month order by order_month) as cohort_customers
    from {{ converge.touched_rows(ref('int_cohort_months__summed'), 'cohort_month') }} as touched

)

select
    cohort_month,
    order_month,
    cast({{ dbt.datediff('cohort_month', 'order_month', 'month') }} as integer) as month_number,
    cohort_customers,
    active_customers,
    cast(round(cast(active_customers as numeric) / nullif(cohort_customers, 0), 4) as numeric(5, 4)) as retention_share,
    orders,
    spend_usd
from sized
