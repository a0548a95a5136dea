{{ config(tags=['audit']) }}
-- Fails with each cohort that is not as large as the customers whose first order is of its month.
with customers as (

    select
        cohort_month,
        count(*) as customers
    from {{ ref('customer_lifetime_value') }}
    group by cohort_month

),

cohorts as (

    select
        cohort_month,
        max(cohort_customers) as cohort_customers,
        max(active_customers) as most_active_customers
    from {{ ref('cohort_retention') }}
    group by cohort_month

)

select
    coalesce(customers.cohort_month, cohorts.cohort_month) as cohort_month,
    customers.customers,
    cohorts.cohort_customers,
    cohorts.most_active_customers
from customers
full outer join cohorts
    on customers.cohort_month = cohorts.cohort_month
where
    customers.customers is distinct from cohorts.cohort_customers
    or cohorts.most_active_customers > cohorts.cohort_customers
