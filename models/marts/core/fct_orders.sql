{# Grain: one row per order, all channels. #}
{{ config(
    unique_key='order_id',
    meta={'track': ['customer_id', 'order_date', 'channel', 'region', 'currency']},
    indexes=[{'columns': ['order_date', 'channel', 'region']}, {'columns': ['customer_id']}],
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('int_orders__unioned')) }}
    union all
    select order_id from {{ converge.changes(ref('fct_order_items')) }}
    union all
    select order_id from {{ converge.changes(ref('fct_payments')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('int_orders__unioned'), 'order_id') }} as touched

),

items as (

    select
        order_id,
        count(*) as line_count,
        sum(quantity) as item_count,
        sum(items_amount) as items_amount,
        sum(discount_amount) as discount_amount,
        sum(freight_amount) as freight_amount,
        sum(total_amount) as total_amount,
        -- On a line that takes goods back both are below zero, so its share is computed as for any other line.
        sum(abs(discount_amount)) / nullif(sum(abs(items_amount)), 0) as discount_share
    from {{ converge.touched_rows(ref('fct_order_items'), 'order_id') }} as touched
    group by order_id

),

of_payments as (

    select * from {{ converge.touched_rows(ref('fct_payments'), 'order_id') }} as touched

),

received as (

    -- An order's one payment, which a refund that names none can only be of.
    select
        order_id,
        min(payment_id) as payment_id
    from of_payments
    where
        status in ('captured', 'refunded')
        and not is_refund
    group by order_id
    having count(*) = 1

),

refunds as (

    select distinct
        of_payments.order_id,
        coalesce(of_payments.refunds_payment_id, received.payment_id) as refunds_payment_id
    from of_payments
    left join received
        on of_payments.order_id = received.order_id
    where of_payments.is_refund

),

moved as (

    -- A refunded payment was refunded in full, unless there are refunds of it: then those say how much.
    select
        of_payments.order_id,
        not of_payments.is_refund as came_in,
        of_payments.status = 'refunded' and (of_payments.is_refund or refunds.order_id is null) as went_back,
        of_payments.amount_usd,
        of_payments.amount_in_order_currency as amount
    from of_payments
    left join refunds
        on
            of_payments.order_id = refunds.order_id
            and of_payments.payment_id = refunds.refunds_payment_id
    where of_payments.status in ('captured', 'refunded')

),

payments as (

    -- If one of them has no rate, the sum is not known.
    select
        order_id,
        count(amount_usd) = count(*) as is_converted,
        sum(case when came_in then amount_usd else 0 end) as paid_usd,
        sum(case when went_back then amount_usd else 0 end) as refunded_usd,
        count(amount) = count(*) as is_in_order_currency,
        sum(case when came_in then amount else 0 end) as paid_amount,
        sum(case when went_back then amount else 0 end) as refunded_amount
    from moved
    group by order_id

),

sizes as (

    select
        tier,
        from_usd,
        lead(from_usd) over (order by from_usd) as until_usd
    from {{ ref('size_tiers') }}

),

measured as (

    select
        orders.*,
        rates.usd_per_unit,
        coalesce(items.line_count, 0) as line_count,
        coalesce(items.item_count, 0) as item_count,
        coalesce(items.items_amount, 0) as items_amount,
        coalesce(items.discount_amount, 0) as discount_amount,
        coalesce(items.freight_amount, 0) as freight_amount,
        coalesce(items.total_amount, 0) as total_amount,
        cast(round(coalesce(items.total_amount, 0) * rates.usd_per_unit, 2) as numeric(18, 2)) as total_usd,
        coalesce(orders.is_credit_note, false)
        or coalesce(items.total_amount, 0) < 0
        or (coalesce(items.total_amount, 0) = 0 and coalesce(items.item_count, 0) < 0) as gives_back,
        {{ as_amount('orders.stated_amount', 'currencies.minor_unit') }} as rounded_stated_amount,
        case when coalesce(payments.is_converted, true) then coalesce(payments.paid_usd, 0) end as paid_usd,
        case when coalesce(payments.is_converted, true) then coalesce(payments.refunded_usd, 0) end as refunded_usd,
        case when coalesce(payments.is_in_order_currency, true) then coalesce(payments.paid_amount, 0) end as paid_amount,
        case when coalesce(payments.is_in_order_currency, true) then coalesce(payments.refunded_amount, 0) end as refunded_amount,
        -- Goods without a price have no discount. By rounding, a discount may be slightly more than the price of the line.
        least(coalesce(round(items.discount_share, 4), 0), 1) as discount_share
    from orders
    left join {{ ref('currencies') }} as currencies
        on orders.currency = currencies.currency
    left join {{ ref('int_exchange_rates__ranged') }} as rates
        on
            orders.currency = rates.currency
            and cast(date_trunc('month', orders.order_date) as date) = rates.rate_month
            and orders.order_date >= rates.valid_from
            and orders.order_date < rates.valid_until
    left join items
        on orders.order_id = items.order_id
    left join payments
        on orders.order_id = payments.order_id

)

select
    measured.order_id,
    measured.source_order_id,
    measured.channel,
    measured.region,
    measured.country,
    measured.customer_id,
    measured.customer_id is null as is_guest,
    measured.credited_order_id,
    measured.status,
    measured.is_counted,
    measured.is_returned,
    measured.gives_back as is_credit_note,
    measured.placed_at,
    measured.order_date,
    measured.order_hour,
    measured.approved_at,
    measured.shipped_at,
    measured.delivered_at,
    measured.estimated_delivery_at,
    measured.days_late,
    measured.days_late > 0 as is_delivered_late,
    cast(measured.line_count as integer) as line_count,
    cast(measured.item_count as bigint) as item_count,
    measured.currency,
    cast(measured.items_amount as numeric(20, 4)) as items_amount,
    cast(measured.discount_amount as numeric(20, 4)) as discount_amount,
    cast(measured.freight_amount as numeric(20, 4)) as freight_amount,
    cast(measured.total_amount as numeric(20, 4)) as total_amount,
    measured.rounded_stated_amount as stated_amount,
    cast(measured.rounded_stated_amount - measured.total_amount as numeric(20, 4)) as stated_difference,
    cast(measured.paid_amount as numeric(20, 4)) as paid_amount,
    cast(measured.refunded_amount as numeric(20, 4)) as refunded_amount,
    cast(measured.paid_amount - measured.refunded_amount as numeric(20, 4)) as net_paid_amount,
    cast(round(measured.items_amount * measured.usd_per_unit, 2) as numeric(18, 2)) as items_usd,
    cast(round(measured.discount_amount * measured.usd_per_unit, 2) as numeric(18, 2)) as discount_usd,
    cast(round(measured.freight_amount * measured.usd_per_unit, 2) as numeric(18, 2)) as freight_usd,
    measured.total_usd,
    cast(measured.paid_usd as numeric(18, 2)) as paid_usd,
    cast(measured.refunded_usd as numeric(18, 2)) as refunded_usd,
    cast(measured.paid_usd - measured.refunded_usd as numeric(18, 2)) as net_paid_usd,
    cast(measured.discount_share as numeric(5, 4)) as discount_share,
    tiers.tier as discount_tier,
    sizes.tier as size_tier,
    coalesce(measured.total_usd >= {{ var('high_value_usd') }}, false) as is_high_value
from measured
left join {{ ref('discount_tiers') }} as tiers
    on
        measured.discount_share >= tiers.from_share
        and measured.discount_share < tiers.until_share
left join sizes
    on
        not measured.gives_back
        and measured.total_usd >= sizes.from_usd
        and (measured.total_usd < sizes.until_usd or sizes.until_usd is null)
