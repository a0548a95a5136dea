-- The same, looked up by an index.
select * from {{ converge.tested(ref('orders'), 'order_id') }} as changed
where region = 'other'
