-- Fails with each day, channel, region and currency whose orders, sales or refunds are not what the orders themselves add up to.
with orders as (

    select
        order_date,
        channel,
        region,
        currency,
        count(*) as all_orders,
        sum(case when is_credit_note then 0 else 1 end) as placed_orders,
        sum(case when is_counted and not is_credit_note then 1 else 0 end) as orders,
        coalesce(sum(case when is_counted then total_usd end), 0) as sales_usd,
        coalesce(sum(case when is_counted and not is_credit_note then refunded_usd end), 0) as refunded_usd,
        coalesce(sum(case when is_counted then total_amount end), 0) as sales_amount,
        sum(case when is_counted and not is_credit_note and customer_id is null then 1 else 0 end) as guest_orders
    from {{ ref('fct_orders') }}
    where {{ converge.is_tested(ref('fct_orders'), 'order_date', 'channel', 'region', 'currency') }}
    group by order_date, channel, region, currency

),

days as (

    select * from {{ ref('agg_daily_sales') }}
    where {{ converge.is_tested(ref('fct_orders'), 'order_date', 'channel', 'region', 'currency') }}

)

select
    coalesce(orders.order_date, days.order_date) as order_date,
    coalesce(orders.channel, days.channel) as channel,
    coalesce(orders.region, days.region) as region,
    coalesce(orders.currency, days.currency) as currency,
    orders.all_orders,
    days.all_orders as all_orders_shown,
    orders.placed_orders,
    days.placed_orders as placed_orders_shown,
    orders.orders,
    days.orders as orders_shown,
    orders.sales_usd,
    days.sales_usd as sales_usd_shown,
    orders.refunded_usd,
    days.refunded_usd as refunded_usd_shown,
    orders.sales_amount,
    days.sales_amount as sales_amount_shown,
    orders.guest_orders,
    days.guest_orders as guest_orders_shown
from orders
full outer join days
    on
        orders.order_date = days.order_date
        and orders.channel = days.channel
        and orders.region = days.region
        and orders.currency = days.currency
where
    orders.all_orders is distinct from days.all_orders
    or orders.placed_orders is distinct from days.placed_orders
    or orders.orders is distinct from days.orders
    or orders.sales_usd is distinct from days.sales_usd
    or orders.refunded_usd is distinct from days.refunded_usd
    or orders.sales_amount is distinct from days.sales_amount
    or orders.guest_orders is distinct from days.guest_orders
    or days.orders + days.credit_notes + days.cancelled_orders + days.unavailable_orders + days.written_off_orders != days.all_orders
    or days.small_orders + days.medium_orders + days.large_orders != days.converted_orders
    or days.undiscounted_orders + days.low_discount_orders + days.medium_discount_orders + days.high_discount_orders != days.orders
