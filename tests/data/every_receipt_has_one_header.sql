{{ config(severity='warn', group='core') }}
-- Warns of each store's receipt whose lines disagree about what belongs to the whole receipt. The order has what its first line
-- says, and its amounts are added up as if they were all in that currency.
with lines as (

    select * from {{ converge.tested(ref('stg_stores__sales'), 'order_id') }} as changed
    where not _is_deleted

)

select
    order_id,
    count(distinct currency) as currencies,
    count(distinct customer_id) as customers,
    count(distinct credited_order_id) as credited_orders,
    count(distinct region) as regions,
    count(distinct country) as countries
from lines
group by order_id
having
    count(distinct currency) > 1
    or count(distinct customer_id) > 1
    or count(distinct credited_order_id) > 1
    or count(distinct region) > 1
    or count(distinct country) > 1
