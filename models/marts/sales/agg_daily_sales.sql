{# Grain: one row per day, channel and region with at least one order. #}
{{ config(unique_key=['order_date', 'channel', 'region']) }}

{% call converge.touched('order_date', 'channel', 'region') %}
    select order_date, channel, region from {{ converge.changes(ref('fct_orders')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('fct_orders'), 'order_date', 'channel', 'region') }} as touched

)

select
    order_date,
    channel,
    region,
    count(*) as orders,
    sum(case when is_cancelled then 1 else 0 end) as cancelled_orders,
    sum(case when is_returned then 1 else 0 end) as returned_orders,
    sum(case when is_cancelled or is_credit_note then 0 else 1 end) as sold_orders,
    sum(case when is_credit_note and not is_cancelled then 1 else 0 end) as credit_notes,
    sum(case when is_guest then 1 else 0 end) as guest_orders,
    sum(case when total_usd is null or paid_usd is null then 1 else 0 end) as unconverted_orders,
    count(distinct case when not is_credit_note then customer_id end) as customers,
    cast(sum(case when is_cancelled then 0 else item_count end) as bigint) as items,
    cast(coalesce(sum(case when is_cancelled then 0 else items_usd end), 0) as numeric(18, 2)) as items_usd,
    cast(coalesce(sum(case when is_cancelled then 0 else discount_usd end), 0) as numeric(18, 2)) as discount_usd,
    cast(coalesce(sum(case when is_cancelled then 0 else freight_usd end), 0) as numeric(18, 2)) as freight_usd,
    cast(coalesce(sum(case when is_cancelled then 0 else total_usd end), 0) as numeric(18, 2)) as sales_usd,
    cast(coalesce(sum(case when is_credit_note and not is_cancelled then -total_usd end), 0) as numeric(18, 2)) as credited_usd,
    cast(coalesce(sum(refunded_usd), 0) as numeric(18, 2)) as refunded_usd,
    cast(round(
        sum(case when is_cancelled or is_credit_note then 0 else total_usd end)
        / nullif(sum(case when is_cancelled or is_credit_note or total_usd is null then 0 else 1 end), 0),
        2
    ) as numeric(18, 2)) as average_order_usd,
    sum(case when is_high_value and not is_cancelled then 1 else 0 end) as high_value_orders,
    sum(case when discount_tier = 'none' then 1 else 0 end) as undiscounted_orders,
    sum(case when discount_tier = 'low' then 1 else 0 end) as low_discount_orders,
    sum(case when discount_tier = 'medium' then 1 else 0 end) as medium_discount_orders,
    sum(case when discount_tier = 'high' then 1 else 0 end) as high_discount_orders
from orders
group by order_date, channel, region
