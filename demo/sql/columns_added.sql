-- The columns that a shop lacks which was made before they were. They stand last in their tables; where nothing is missing, no
-- table is locked.
do $$
declare
    missing record;
begin
    for missing in
        select added.*
        from (values
            ('orders', 'estimated_delivery_at', 'timestamptz'),
            ('order_items', 'seller_id', 'text'),
            ('order_items', 'ship_by_at', 'timestamptz'),
            ('products', 'weight_g', 'integer'),
            ('products', 'length_cm', 'integer'),
            ('products', 'height_cm', 'integer'),
            ('products', 'width_cm', 'integer'),
            ('payments', 'payment_sequence', 'integer')
        ) as added (table_name, column_name, type)
        where not exists (
            select from pg_attribute
            where attrelid = to_regclass('{shop}.' || added.table_name) and attname = added.column_name
        )
    loop
        execute format('alter table {shop}.%I add column %I %s', missing.table_name, missing.column_name, missing.type);
    end loop;
end
$$
