{#
    Grain: one row per day and sales region with at least one order, of whatever kind.
    A view: its sums are of a table that is small and exact, so it costs a build nothing.
#}
{{ config(materialized='view', unique_key=['order_date', 'region']) }}

with days as (

    select
        order_date,
        region,
        sum(orders) as orders,
        sum(converted_orders) as converted_orders,
        sum(items) as items,
        sum(sales_usd) as sales_usd,
        sum(credited_usd) as credited_usd,
        sum(refunded_usd) as refunded_usd
    from {{ ref('agg_daily_sales') }}
    group by order_date, region

)

select
    days.order_date,
    days.region,
    cast(days.orders as bigint) as orders,
    cast(days.items as bigint) as items,
    cast(days.sales_usd as numeric(18, 2)) as sales_usd,
    cast(days.refunded_usd as numeric(18, 2)) as refunded_usd,
    cast(days.sales_usd - days.refunded_usd as numeric(18, 2)) as net_revenue_usd,
    cast(round((days.sales_usd + days.credited_usd) / nullif(days.converted_orders, 0), 2) as numeric(18, 2)) as average_order_usd,
    cast(round(days.sales_usd / nullif(sum(days.sales_usd) over (partition by days.order_date), 0), 4) as numeric(18, 4)) as share_of_day,
    cast(week_before.sales_usd as numeric(18, 2)) as sales_usd_week_before,
    cast(sum(days.sales_usd) over (
        partition by days.region, date_trunc('month', days.order_date)
        order by days.order_date
    ) as numeric(18, 2)) as sales_usd_month_to_date
from days
left join days as week_before
    on
        days.region = week_before.region
        and week_before.order_date = cast({{ dbt.dateadd('day', -7, 'days.order_date') }} as date)
