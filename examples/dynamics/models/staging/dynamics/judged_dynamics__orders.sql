{# Grain: one row per landed record of ERP orders, judged. An order lands with its lines: one wrong line refuses it. #}
{{ config(materialized='ephemeral') }}

with landed as (

    {{ landed_with_interval(source('dynamics', 'orders'), 'payload _op', record='payload') }}

),

read as (

    select
        landed.*,
        payload ->> '_unreadable' is not null as is_unreadable,
        {{ json_id('payload', 'SalesOrderId') }} as source_order_id,
        {{ json_id('payload', 'CustomerId') }} as source_customer_id,
        {{ clean_code(json_field('payload', 'CountryCode')) }} as country,
        {{ json_field('payload', 'Status') }} as erp_status,
        {{ clean_code(json_field('payload', 'CurrencyCode')) }} as currency,
        {{ try_cast(json_field('payload', 'TotalAmount'), 'numeric') }} as stated_amount,
        {{ try_cast(json_field('payload', 'OrderedAt'), 'timestamptz') }} as placed_at,
        {{ try_cast(json_field('payload', 'ModifiedAt'), 'timestamptz') }} as updated_at,
        {{ as_lines(
            json_array('payload', 'Lines'),
            'ItemNumber',
            'Quantity',
            'UnitPrice',
            discount_amount='DiscountAmount',
            freight_amount='ChargeAmount',
            line_number='LineNumber'
        ) }} as lines
    from {{ computed_once('landed') }}

),

typed as (

    select
        read.*,
        -- The ERP's words, in those of seeds/order_statuses.csv.
        case erp_status
            when 'Backorder' then 'processing'
            when 'Delivered' then 'shipped'
            when 'Invoiced' then 'invoiced'
            when 'Canceled' then 'canceled'
        end as source_status
    from {{ computed_once('read') }}

)

select
    'dynamics-' || source_order_id as order_id,
    source_order_id,
    case when not {{ is_no_id('source_customer_id') }} then 'dynamics-' || source_customer_id end as customer_id,
    cast(null as varchar) as credited_order_id,
    country,
    source_status,
    currency,
    stated_amount,
    placed_at,
    updated_at,
    lines,
    {{ version_at('updated_at', "_op = 'd'") }} as _version_at,
    _op = 'd' as _is_deleted,
    _load_id,
    _row,
    source_order_id as _key,
    _record,
    {{ judge([
        ('record_unreadable', 'type', 'error', 'is_unreadable', 'The record is not a JSON object.'),
        ('order_id_malformed', 'type', 'error', 'source_order_id is null or ' ~ is_no_id('source_order_id'), 'The order has no id of at most 200 printable characters.'),
        ('placed_at_impossible', 'range', 'error', 'placed_at is null or ' ~ is_no_date('placed_at'), 'The order has no date, or one before 2000 or after 2099.'),
        ('changed_at_impossible', 'range', 'error', 'updated_at is null or updated_at > _latest_at', 'Its last change has no time, or one in the future.'),
        ('status_unknown', 'reference', 'error', 'source_status is null', 'The status is none of those that judged_dynamics__orders translates.'),
        ('currency_unknown', 'reference', 'error', 'currency is null or currency not in (select currency from ' ~ ref('currencies') ~ ')', 'The currency is not in seeds/currencies.csv.'),
        ('total_impossible', 'range', 'error', 'stated_amount is null or ' ~ is_no_amount('stated_amount'), 'The total is missing, below zero, or 100 million or more.'),
        ('lines_missing', 'missing', 'error', 'lines is null', 'The order has no lines.'),
        ('line_incomplete', 'missing', 'error', any_line('lines', is='incomplete'), 'A line has no product, quantity or price.'),
        ('line_unreadable', 'type', 'error', any_line('lines', is='unreadable'), 'A line has a quantity or amount that is not a number.'),
        ('line_out_of_range', 'range', 'error', any_line('lines', is='out_of_range'), 'A quantity or amount of a line is too low or too high.'),
    ], of_key=['record_unreadable', 'order_id_malformed'], is_deleted="_op = 'd'") }}
from typed
