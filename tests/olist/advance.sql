-- The shop as it stood at %(now)s: what was inserted or changed since %(before)s is written, nothing else.
-- A status never goes back, whatever order the published times are in; a status without a date is set at the end.
insert into products
select
    product_id, product_id, nullif(category, ''), null, 'BRL', true, '2016-01-01', '2016-01-01',
    weight::integer, length::integer, height::integer, width::integer
from olist.products
on conflict do nothing;

insert into customers
select distinct on (c.customer_unique_id)
    c.customer_unique_id, null, 'Customer ' || left(c.customer_unique_id, 8), null, c.zip, c.city, c.state, 'BR',
    o.purchased, o.purchased
from olist.orders as o
join olist.customers as c using (customer_id)
where o.purchased > %(before)s and o.purchased <= %(now)s
order by c.customer_unique_id, o.purchased desc
on conflict (customer_id) do update
set postal_code = excluded.postal_code, city = excluded.city, region = excluded.region, updated_at = excluded.updated_at;

insert into orders
select
    o.order_id, c.customer_unique_id,
    case
        when %(is_last)s then o.status
        when o.delivered <= %(now)s then 'delivered'
        when o.shipped <= %(now)s then 'shipped'
        when o.approved <= %(now)s then 'approved'
        else 'created'
    end,
    'BRL', null, null, o.purchased, o.approved, o.shipped, o.delivered, o.purchased,
    case when %(is_last)s then %(now)s else greatest(
        o.purchased,
        case when o.approved <= %(now)s then o.approved end,
        case when o.shipped <= %(now)s then o.shipped end,
        case when o.delivered <= %(now)s then o.delivered end
    ) end,
    o.estimated
from olist.orders as o
join olist.customers as c using (customer_id)
where o.purchased <= %(now)s and (
    o.purchased > %(before)s
    or (o.approved > %(before)s and o.approved <= %(now)s)
    or (o.shipped > %(before)s and o.shipped <= %(now)s)
    or (o.delivered > %(before)s and o.delivered <= %(now)s)
    or (%(is_last)s and o.status not in ('created', 'approved', 'shipped', 'delivered'))
    or (%(is_last)s and o.status = 'delivered' and o.delivered is null)
    or (%(is_last)s and o.status in ('created', 'approved', 'shipped'))
)
on conflict (order_id) do update
set status = excluded.status, approved_at = excluded.approved_at, shipped_at = excluded.shipped_at,
    delivered_at = excluded.delivered_at, updated_at = excluded.updated_at;

insert into order_items
select i.order_id, i.line, i.product_id, 1, i.price, 0, i.freight, o.purchased, o.purchased, i.seller_id, i.shipping_limit
from olist.items as i
join olist.orders as o using (order_id)
where o.purchased > %(before)s and o.purchased <= %(now)s;

-- A payment is authorised with the order and captured when the order is approved; one of an order that never was, at once.
insert into payments
select
    p.order_id || '-' || p.sequence, p.order_id, p.method, p.installments, p.amount, 'BRL',
    case when coalesce(o.approved, o.purchased) <= %(now)s then 'captured' else 'authorized' end,
    case when coalesce(o.approved, o.purchased) <= %(now)s then coalesce(o.approved, o.purchased) end,
    o.purchased,
    greatest(o.purchased, case when o.approved <= %(now)s then o.approved end),
    p.sequence
from olist.payments as p
join olist.orders as o using (order_id)
where o.purchased <= %(now)s
  and (o.purchased > %(before)s or (o.approved > %(before)s and o.approved <= %(now)s))
on conflict (payment_id) do update
set status = excluded.status, paid_at = excluded.paid_at, updated_at = excluded.updated_at;
