-- Some products are deleted for good, without a trace: only a reader of the whole table notices.
delete from {shop}.products
using generate_series(31, (select max(days.products) from demo.days), 31) as gone (product)
where demo.product_gone(gone.product) <= {last_index} and products.product_id = demo.product_id(gone.product)
