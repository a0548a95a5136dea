-- An order from a country that the seed does not know. A build looks at the orders that changed, `dbt test` at all.
select * from {{ ref('orders') }}
where
    region = 'other'
    and {{ converge.is_tested(ref('orders'), 'order_id') }}
