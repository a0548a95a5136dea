-- Fails with each web customer of `dim_customers` that the history does not have as they are now, and the other way round.
with customers as (

    select
        customer_id,
        email,
        full_name,
        city,
        country
    from {{ ref('dim_customers') }}
    where
        origin = 'web'
        and {{ converge.is_tested(ref('dim_customers_history'), 'customer_id') }}

),

periods as (

    select
        customer_id,
        email,
        full_name,
        city,
        country,
        count(*) over (partition by customer_id) as current_periods
    from {{ ref('dim_customers_history') }}
    where
        is_current
        and {{ converge.is_tested(ref('dim_customers_history'), 'customer_id') }}

)

select
    coalesce(customers.customer_id, periods.customer_id) as customer_id,
    customers.customer_id is not null as is_customer,
    periods.current_periods
from customers
full outer join periods
    on customers.customer_id = periods.customer_id
where
    customers.customer_id is null
    or periods.customer_id is null
    or periods.current_periods != 1
    or customers.email is distinct from periods.email
    or customers.full_name is distinct from periods.full_name
    or customers.city is distinct from periods.city
    or customers.country is distinct from periods.country
