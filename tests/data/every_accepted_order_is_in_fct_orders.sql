{{ config(tags=['audit']) }}
-- Fails with each order that staging accepted and `fct_orders` has not, or that it has and staging has not.
with accepted as (

    select order_id
    from {{ ref('stg_shop__orders') }}
    where not _is_deleted
    {% for channel, orders in channels('orders') %}
    union all
    select order_id
    from {{ ref(orders) }}
    where not _is_deleted
    {% endfor %}
    union all
    select distinct order_id
    from {{ ref('stg_stores__sales') }}
    where not _is_deleted

)

select
    accepted.order_id as accepted_order_id,
    orders.order_id as shown_order_id
from accepted
full outer join {{ ref('fct_orders') }} as orders
    on accepted.order_id = orders.order_id
where
    accepted.order_id is null
    or orders.order_id is null
