-- The published files as tables of their own, and the shop's tables, empty.
create schema olist;
create table olist.customers (customer_id text primary key, customer_unique_id text, zip text, city text, state text);
create table olist.orders (
    order_id text primary key, customer_id text, status text, purchased timestamp, approved timestamp, shipped timestamp,
    delivered timestamp, estimated timestamp
);
create table olist.items (
    order_id text, line integer, product_id text, seller_id text, shipping_limit timestamp, price numeric, freight numeric
);
create table olist.payments (order_id text, sequence integer, method text, installments integer, amount numeric);
create table olist.products (
    product_id text, category text, name_length text, description_length text, photos text, weight text, length text,
    height text, width text
);

create table customers (
    customer_id text primary key, email text, full_name text, address text, postal_code text, city text, region text,
    country text, created_at timestamp, updated_at timestamp
);
create table products (
    product_id text primary key, name text, category text, price numeric, currency text, is_active boolean,
    created_at timestamp, updated_at timestamp, weight_g integer, length_cm integer, height_cm integer, width_cm integer
);
create table orders (
    order_id text primary key, customer_id text, status text, currency text, total_amount numeric, discount_code text,
    placed_at timestamp, approved_at timestamp, shipped_at timestamp, delivered_at timestamp, created_at timestamp,
    updated_at timestamp, estimated_delivery_at timestamp
);
create table order_items (
    order_id text, line_number integer, product_id text, quantity integer, unit_price numeric, discount_amount numeric,
    freight_amount numeric, created_at timestamp, updated_at timestamp, seller_id text, ship_by_at timestamp,
    primary key (order_id, line_number)
);
create table payments (
    payment_id text primary key, order_id text, method text, installments integer, amount numeric, currency text,
    status text, paid_at timestamp, created_at timestamp, updated_at timestamp, payment_sequence integer
);
