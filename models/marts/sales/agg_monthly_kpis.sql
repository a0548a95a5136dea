{#
    Grain: one row per month with at least one order, of whatever kind.
    A view: its sums are of tables that are small and exact, so it costs a build nothing. It is as of the last day with orders.
#}
{{ config(materialized='view', unique_key='order_month') }}

with months as (

    select
        cast(date_trunc('month', order_date) as date) as order_month,
        max(order_date) as last_order_date,
        sum(orders) as orders,
        sum(placed_orders) as placed_orders,
        sum(all_orders) as all_orders,
        sum(cancelled_orders) as cancelled_orders,
        sum(unavailable_orders) as unavailable_orders,
        sum(credit_notes) as credit_notes,
        sum(returned_orders) as returned_orders,
        sum(guest_orders) as guest_orders,
        sum(converted_orders) as converted_orders,
        sum(items) as items,
        sum(items_usd) as items_usd,
        sum(discount_usd) as discount_usd,
        sum(sales_usd) as sales_usd,
        sum(credited_usd) as credited_usd,
        sum(refunded_usd) as refunded_usd
    from {{ ref('agg_daily_sales') }}
    group by cast(date_trunc('month', order_date) as date)

),

buyers as (

    -- All customers of a cohort bought in its first month. A customer is in one cohort, so the months of the cohorts add up.
    select
        order_month,
        sum(active_customers) as customers,
        sum(case when cohort_month = order_month then active_customers else 0 end) as new_customers
    from {{ ref('cohort_retention') }}
    group by order_month

)

select
    months.order_month,
    months.last_order_date,
    cast(months.orders as bigint) as orders,
    cast(months.placed_orders as bigint) as placed_orders,
    cast(months.all_orders as bigint) as all_orders,
    cast(months.cancelled_orders as bigint) as cancelled_orders,
    cast(months.unavailable_orders as bigint) as unavailable_orders,
    cast(months.credit_notes as bigint) as credit_notes,
    cast(months.returned_orders as bigint) as returned_orders,
    cast(months.guest_orders as bigint) as guest_orders,
    cast(coalesce(buyers.customers, 0) as bigint) as customers,
    cast(coalesce(buyers.new_customers, 0) as bigint) as new_customers,
    cast(coalesce(buyers.customers - buyers.new_customers, 0) as bigint) as returning_customers,
    cast(months.items as bigint) as items,
    cast(months.sales_usd as numeric(18, 2)) as sales_usd,
    cast(months.refunded_usd as numeric(18, 2)) as refunded_usd,
    cast(months.sales_usd - months.refunded_usd as numeric(18, 2)) as net_revenue_usd,
    cast(round((months.sales_usd + months.credited_usd) / nullif(months.converted_orders, 0), 2) as numeric(18, 2)) as average_order_usd,
    cast(round(months.discount_usd / nullif(months.items_usd, 0), 4) as numeric(18, 4)) as discount_share,
    cast(round(cast(months.cancelled_orders as numeric) / nullif(months.placed_orders, 0), 4) as numeric(18, 4)) as cancel_rate,
    cast(before.sales_usd as numeric(18, 2)) as sales_usd_month_before,
    cast(year_before.sales_usd as numeric(18, 2)) as sales_usd_year_before
from months
left join buyers
    on months.order_month = buyers.order_month
left join months as before
    on before.order_month = cast({{ dbt.dateadd('month', -1, 'months.order_month') }} as date)
left join months as year_before
    on year_before.order_month = cast({{ dbt.dateadd('month', -12, 'months.order_month') }} as date)
