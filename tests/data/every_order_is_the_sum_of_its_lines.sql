-- Fails with each order whose lines or total are not those of its lines.
with items as (

    select
        order_id,
        count(*) as line_count,
        sum(quantity) as item_count,
        sum(total_amount) as total_amount
    from {{ converge.tested(ref('fct_order_items'), 'order_id', changed=ref('fct_orders')) }} as changed
    group by order_id

),

orders as (

    select * from {{ converge.tested(ref('fct_orders'), 'order_id') }} as changed

)

select
    orders.order_id,
    orders.line_count,
    items.line_count as lines_found,
    orders.item_count,
    items.item_count as pieces_found,
    orders.total_amount,
    items.total_amount as total_found
from orders
left join items
    on orders.order_id = items.order_id
where
    orders.line_count != coalesce(items.line_count, 0)
    or orders.item_count != coalesce(items.item_count, 0)
    or orders.total_amount != coalesce(items.total_amount, 0)
    or orders.total_amount != orders.items_amount - orders.discount_amount + orders.freight_amount
