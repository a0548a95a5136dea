-- Fails with each period that ends before it begins, or after the customer's next one has begun.
with periods as (

    select
        customer_id,
        valid_from,
        valid_until,
        lead(valid_from) over (partition by customer_id order by valid_from) as next_valid_from
    from {{ ref('dim_customers_history') }}
    where {{ converge.is_tested(ref('dim_customers_history'), 'customer_id') }}

)

select * from periods
where
    valid_until <= valid_from
    or next_valid_from < coalesce(valid_until, cast('9999-12-31' as timestamptz))
