-- Grain: one row per marketplace order that changed in [previous, until), and one more for those that are sent twice.
insert into demo.marketplace_orders
with changed as (

    select
        lives.*,
        demo.region_of(lives.country) as true_region,
        greatest(lives.updated_at, lives.refunded_at) as changed_at
    from lives

),

line_lists as (

    select
        lines.number,
        jsonb_agg(jsonb_build_object(
            'line_number', lines.line_number,
            'product_id', case
                when changed.order_fault = 'malformed_product' then 'P ' || lines.product || '/3'
                else demo.product_id(lines.product)
            end,
            'quantity', case changed.order_fault when 'zero_quantity' then 0 else lines.quantity end,
            'unit_price', lines.unit_price,
            'discount_amount', lines.discount_amount,
            'freight_amount', lines.freight_amount
        ) order by lines.line_number) as list
    from lines
    inner join changed on lines.number = changed.number
    where not lines.is_dropped
    group by lines.number

),

payment_lists as (

    select
        pays.number,
        max(pays.total_amount) as total_amount,
        jsonb_agg(jsonb_build_object(
            'payment_id', 'MPP-' || changed.true_region || '-' || lpad(pays.number::text, 8, '0') || '-' || pays.payment_number,
            'method', pays.method,
            'installments', pays.installments,
            'amount', pays.amount,
            'status', pays.status,
            'paid_at', demo.iso(pays.paid_at)
        ) order by pays.payment_number) as list
    from pays
    inner join changed on pays.number = changed.number
    where pays.deleted_at is null or changed.deleted_at is not null
    group by pays.number

),

records as (

    select
        changed.number,
        changed.key,
        changed.true_region,
        changed.changed_at,
        changed.order_fault,
        jsonb_build_object(
            'order_id', 'MP-' || changed.true_region || '-' || lpad(changed.number::text, 8, '0'),
            'region', changed.true_region,
            'status', case changed.order_fault when 'unknown_status' then 'lost in transit' else changed.status end,
            'currency', case changed.order_fault
                when 'unknown_currency' then 'XXX'
                when 'untidy_currency' then lower(changed.currency) || ' '
                else changed.currency
            end,
            'total_amount', case changed.order_fault
                when 'negative_total' then -payment_lists.total_amount
                when 'absurd_total' then 1000000000
                else payment_lists.total_amount
            end,
            'buyer', jsonb_build_object(
                'buyer_id', 'B-' || changed.true_region || '-' || lpad(changed.party::text, 6, '0'),
                'email', 'buyer' || changed.party || '@example.net',
                'name', demo.full_name(changed.party),
                'country', changed.country,
                'city', places.city
            ),
            'discount_code', 'SAVE' || nullif(changed.discount_percent, 0),
            'placed_at', case changed.order_fault
                when 'unreadable_date' then to_char(changed.placed_at at time zone 'UTC', '"the "DD"th of "MM')
                when 'far_future' then demo.iso(changed.placed_at + interval '73 years')
                else demo.iso(changed.placed_at)
            end,
            'updated_at', demo.iso(changed.changed_at),
            'deleted', changed.deleted_at is not null,
            'lines', line_lists.list,
            'payments', payment_lists.list
        ) as record
    from changed
    inner join line_lists on changed.number = line_lists.number
    inner join payment_lists on changed.number = payment_lists.number
    inner join demo.places
        on changed.country = places.country and floor(3 * demo.chance(changed.party, 'buyer place')) = places.place

)

select
    records.number,
    sent.variant,
    records.true_region as region,
    records.changed_at as updated_at,
    case records.order_fault
        when 'no_order_id' then records.record - 'order_id'
        when 'no_buyer' then records.record - 'buyer'
        when 'no_lines' then records.record - 'lines'
        else records.record
    end::json as payload
from records
cross join lateral generate_series(0, (demo.chance(records.key, 'sent twice') < demo.error_rate() / 4)::integer)
    as sent (variant)
where records.changed_at >= {previous}
on conflict (number, variant) do update set
    updated_at = excluded.updated_at,
    payload = excluded.payload
