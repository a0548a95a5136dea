{# Grain: one row per payment, all channels. #}
{{ config(
    unique_key='payment_id',
    meta={'track': ['order_id']},
    indexes=[{'columns': ['order_id']}],
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_shop__payments')) }}
    union all
    {{ changes_of_channels('payments') }}
    union all
    select order_id from {{ converge.changes(ref('stg_stores__sales')) }}
    union all
    select order_id from {{ converge.changes(ref('int_orders__unioned')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('int_orders__unioned'), 'order_id') }} as touched

),

store_payments as (

    select
        order_id || '/1' as payment_id,
        order_id,
        cast(min(payment_method) as varchar) as method,
        1 as installments,
        sum(
            {{ as_amount('quantity * unit_price', 'currencies.minor_unit') }}
            - {{ as_amount('discount_amount', 'currencies.minor_unit') }}
        ) as amount,
        min(sales.currency) as currency,
        min(sold_at) as paid_at
    from {{ converge.touched_rows(ref('stg_stores__sales'), 'order_id') }} as sales
    left join {{ ref('currencies') }} as currencies
        on sales.currency = currencies.currency
    where not _is_deleted
    group by order_id

),

payments as (

    select
        payment_id,
        source_payment_id,
        'web' as channel,
        order_id,
        refunds_payment_id,
        method,
        installments,
        payment_sequence,
        amount,
        currency,
        status,
        paid_at
    from {{ converge.touched_rows(ref('stg_shop__payments'), 'order_id') }} as touched
    where not _is_deleted
    {% for channel, payments in channels('payments') %}
    union all
    select
        payment_id,
        source_payment_id,
        '{{ channel }}' as channel,
        order_id,
        refunds_payment_id,
        method,
        installments,
        cast(null as integer) as payment_sequence,
        amount,
        currency,
        status,
        paid_at
    from {{ converge.touched_rows(ref(payments), 'order_id') }} as touched
    where _is_deleted is not true
    {% endfor %}
    union all
    select
        payment_id,
        null as source_payment_id,
        'stores' as channel,
        order_id,
        null as refunds_payment_id,
        method,
        installments,
        cast(null as integer) as payment_sequence,
        amount,
        currency,
        -- A receipt with a total below zero is a refund.
        case when amount < 0 then 'refunded' else 'captured' end as status,
        paid_at
    from store_payments

),

rounded as (

    -- A payment is a refund if it names the payment that it refunds, or if its amount is below zero.
    -- Any other payment with the status refunded was received and then refunded in full.
    select
        payments.*,
        orders.order_id is not null as has_order,
        orders.currency as order_currency,
        payments.status = 'refunded' and (payments.refunds_payment_id is not null or payments.amount < 0) as is_refund,
        {{ as_amount('abs(payments.amount)', 'currencies.minor_unit') }} as rounded_amount,
        {{ reporting_date('payments.paid_at') }} as paid_date,
        coalesce({{ reporting_date('payments.paid_at') }}, orders.order_date) as rate_date
    from payments
    left join orders
        on payments.order_id = orders.order_id
    left join {{ ref('currencies') }} as currencies
        on payments.currency = currencies.currency

)

select
    cast(payments.payment_id as varchar) as payment_id,
    cast(payments.source_payment_id as varchar) as source_payment_id,
    cast(payments.channel as varchar) as channel,
    payments.order_id,
    payments.has_order,
    cast(payments.refunds_payment_id as varchar) as refunds_payment_id,
    payments.is_refund,
    payments.method,
    payments.installments,
    payments.payment_sequence,
    cast(payments.status as varchar) as status,
    payments.paid_at,
    payments.paid_date,
    payments.currency,
    payments.rounded_amount as amount,
    cast(round(payments.rounded_amount * rates.usd_per_unit, 2) as numeric(18, 2)) as amount_usd,
    case
        when payments.currency = payments.order_currency then payments.rounded_amount
        else {{ as_amount('payments.rounded_amount * rates.usd_per_unit / order_rates.usd_per_unit', 'order_currencies.minor_unit') }}
    end as amount_in_order_currency
from rounded as payments
left join {{ ref('int_exchange_rates__ranged') }} as rates
    on
        payments.currency = rates.currency
        and cast(date_trunc('month', payments.rate_date) as date) = rates.rate_month
        and payments.rate_date >= rates.valid_from
        and payments.rate_date < rates.valid_until
-- Of a payment in another currency than its order's alone.
left join {{ ref('int_exchange_rates__ranged') }} as order_rates
    on
        payments.order_currency = order_rates.currency
        and payments.order_currency != payments.currency
        and cast(date_trunc('month', payments.rate_date) as date) = order_rates.rate_month
        and payments.rate_date >= order_rates.valid_from
        and payments.rate_date < order_rates.valid_until
left join {{ ref('currencies') }} as order_currencies
    on payments.order_currency = order_currencies.currency
