{# Grain: one row per cohort (month of the first order) and month in which customers of it bought or were refunded. #}
{{ config(unique_key=['cohort_month', 'order_month']) }}

{% call converge.touched('cohort_month', 'order_month') %}
    select cohort_month, order_month from {{ converge.changes(ref('int_customer_months__summed')) }}
{% endcall %}

select
    cohort_month,
    order_month,
    -- In a month with credit notes only, nobody bought.
    sum(case when orders > 0 then 1 else 0 end) as active_customers,
    cast(sum(orders) as bigint) as orders,
    cast(sum(spend_usd) as numeric(18, 2)) as spend_usd
from {{ converge.touched_rows(ref('int_customer_months__summed'), 'cohort_month', 'order_month') }} as touched
group by cohort_month, order_month
