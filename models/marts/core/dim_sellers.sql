{#
    Grain: one row per seller of whom an order has a line.
    A view: nothing lands of a seller but their id, so all of it is what their lines say, and a build does nothing for it.
#}
{{ config(materialized='view', unique_key='seller_id') }}

select
    lines.seller_id,
    min(lines.order_date) as first_order_date,
    max(lines.order_date) as last_order_date,
    count(distinct lines.product_id) as products,
    count(distinct case when orders.is_counted and not orders.is_credit_note then lines.order_id end) as orders,
    cast(coalesce(sum(case when orders.is_counted then lines.quantity end), 0) as bigint) as items,
    cast(coalesce(sum(case when orders.is_counted then lines.total_usd end), 0) as numeric(18, 2)) as sales_usd
from {{ ref('fct_order_items') }} as lines
inner join {{ ref('fct_orders') }} as orders
    on lines.order_id = orders.order_id
where lines.seller_id is not null
group by lines.seller_id
