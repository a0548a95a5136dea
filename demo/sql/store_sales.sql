-- Grain: one row per file of the days [from_day, until_day): its folder's day, its name, and its content as CSV.
-- A receipt's lines come on their day or, late, some days after; a correction comes again in a later day's folder.
with numbered as materialized (

    select
        days.first_store + step.position as number,
        3 * (days.first_store + step.position) + 2 as key,
        days.day,
        days.index as day_index,
        days.products,
        days.first_customer,
        (step.position + demo.chance(3 * (days.first_store + step.position) + 2, 'moment')) / days.store as fraction
    from demo.days
    cross join lateral generate_series(0, days.store - 1) as step (position)
    -- 3 days late and 5 more for a correction: no line is longer on its way.
    where days.day >= {from_day} - 8 and days.day < {until_day}

),

receipts as materialized (

    select
        numbered.*,
        demo.moment(day, fraction) as sold_at,
        floor(8 * demo.chance(key, 'store'))::integer as store,
        1 + floor(4 * demo.chance(key, 'lines') ^ 2)::integer as lines,
        demo.pick(demo.chance(key, 'discount'), '0 0 0 0 0 0 0 0 0 0 0 0 5 10 20 30')::integer as discount_percent,
        demo.pick(demo.chance(key, 'method'), 'card card card cash cash mobile') as payment_method,
        case when demo.chance(key, 'loyal') < 0.3 and first_customer > 1
            then 1 + floor((first_customer - 1) * demo.chance(key, 'customer'))::bigint end as customer_id,
        case when demo.chance(key, 'late') < demo.error_rate() / 2
            then 1 + floor(3 * demo.chance(key, 'how late'))::integer else 0 end as days_late
    from numbered

),

lines as materialized (

    select
        receipts.*,
        receipts.key * 8 + step.line_number as line_key,
        step.line_number,
        store % 2 = 0 as is_parquet,
        (array['US', 'US', 'DE', 'GB', 'JP', 'AU', 'BR', 'CA'])[store + 1] as country,
        demo.product_sold(receipts.key * 8 + step.line_number, products) as wanted,
        1 + floor(3 * demo.chance(receipts.key * 8 + step.line_number, 'quantity') ^ 3)::integer as quantity
    from receipts
    cross join lateral generate_series(1, receipts.lines) as step (line_number)

),

judged as materialized (

    select
        lines.*,
        demo.still_sold(wanted, day_index) as product,
        demo.currency_of(country) as currency,
        demo.fault(line_key, 'store line', case
            when is_parquet then 'no_receipt no_product malformed_product negative_price absurd_price zero_quantity '
                'unknown_currency untidy_currency far_future twice'
            else 'no_receipt no_product malformed_product negative_price absurd_price zero_quantity '
                'unknown_currency untidy_currency unreadable_date broken_short broken_long twice'
        end) as fault,
        demo.chance(line_key, 'correction') as correction
    from lines

),

corrected as materialized (

    select
        judged.*,
        case
            when fault is not null and fault <> 'twice' and demo.chance(line_key, 'store line is fixed') < 0.5 then 'fix'
            when correction < 0.006 then 'quantity'
            when correction < 0.011 then 'void'
        end as reason,
        demo.money(demo.price(product, day_index) * demo.per_dollar(currency), currency) as unit_price
    from judged

),

sent as materialized (

    select
        corrected.*,
        delivery.version,
        delivery.folder,
        case when delivery.version = 1
            then delivery.folder::timestamptz + interval '1 second' * (28800 + corrected.number % 36000) else corrected.sold_at
        end as updated_at,
        case when delivery.version = 0 then corrected.fault end as seen_fault,
        corrected.quantity + (delivery.version = 1 and corrected.reason = 'quantity')::integer as seen_quantity,
        delivery.version = 1 and corrected.reason = 'void' as is_void
    from corrected
    cross join lateral (
        values
        (0, corrected.day + corrected.days_late),
        (1, corrected.day + corrected.days_late + 1 + floor(5 * demo.chance(corrected.line_key, 'corrected when'))::integer)
    ) as delivery (version, folder)
    where (delivery.version = 0 or corrected.reason is not null)
        and delivery.folder >= {from_day} and delivery.folder < {until_day}

),

written as (

    select
        folder,
        store,
        is_parquet,
        number,
        line_number,
        version,
        seen_fault,
        array_to_string(array[
            'S-0' || store + 1,
            case when seen_fault is distinct from 'no_receipt' then 'S' || store + 1 || '-' || lpad(number::text, 9, '0') end,
            line_number::text,
            case seen_fault
                when 'unreadable_date' then to_char(sold_at at time zone 'UTC', '"31/02/"YYYY HH24:MI')
                when 'far_future' then demo.iso(sold_at + interval '73 years')
                else demo.iso(sold_at)
            end,
            demo.iso(updated_at),
            demo.region_of(country),
            country,
            case seen_fault
                when 'no_product' then null
                when 'malformed_product' then 'P ' || product || '/3'
                else demo.product_id(product)
            end,
            (case seen_fault when 'zero_quantity' then 0 else seen_quantity end)::text,
            (case seen_fault when 'negative_price' then -unit_price when 'absurd_price' then 1000000000 else unit_price end)::text,
            demo.money(seen_quantity * unit_price * discount_percent / 100, currency)::text,
            case seen_fault
                when 'unknown_currency' then 'XXX' when 'untidy_currency' then lower(currency) || ' ' else currency
            end,
            payment_method,
            customer_id::text,
            is_void::text
        ], ',', '') as line,
        row_number() over (partition by folder, store order by number desc, line_number desc, version desc) as from_end
    from sent

),

spoiled as (

    select
        written.*,
        case
            -- A line that was cut, one with a comma too many, and a quote that is never closed at a file's very end.
            when seen_fault = 'broken_short' then split_part(line, ',', 1) || ',' || split_part(line, ',', 2)
            when seen_fault = 'broken_long' then line || ',,'
            when not is_parquet and from_end = 1
                and demo.chance((folder - {start}) * 8 + store, 'unclosed') < least(0.5, 3 * demo.error_rate())
                then split_part(line, ',', 1) || ',"' || split_part(line, ',', 2)
            else line
        end || case when seen_fault = 'twice' then chr(10) || line else '' end as text
    from written

)

select
    folder,
    'S-0' || store + 1 as store_id,
    is_parquet,
    string_agg(text, chr(10) order by number, line_number, version) as lines
from spoiled
group by folder, store, is_parquet
order by folder, store
