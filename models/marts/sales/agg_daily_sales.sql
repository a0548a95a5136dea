{# Grain: one row per day, channel, region and currency with at least one order, of whatever kind. #}
{{ config(unique_key=['order_date', 'channel', 'region', 'currency']) }}

{% call converge.touched('order_date', 'channel', 'region', 'currency') %}
    select order_date, channel, region, currency from {{ converge.changes(ref('fct_orders')) }}
{% endcall %}

with orders as (

    -- What every mart means by `orders`, and each of the others in one place.
    select
        *,
        is_counted and not is_credit_note as is_order,
        case
            when status in ('unavailable', 'written_off') and not is_counted then status
            when is_credit_note then 'credit_note'
            when not is_counted then 'cancelled'
        end as other_kind
    from {{ converge.touched_rows(ref('fct_orders'), 'order_date', 'channel', 'region', 'currency') }} as touched

)

select
    order_date,
    channel,
    region,
    currency,
    sum(case when is_order then 1 else 0 end) as orders,
    sum(case when other_kind = 'credit_note' then 1 else 0 end) as credit_notes,
    sum(case when other_kind = 'cancelled' then 1 else 0 end) as cancelled_orders,
    sum(case when other_kind = 'unavailable' then 1 else 0 end) as unavailable_orders,
    sum(case when other_kind = 'written_off' then 1 else 0 end) as written_off_orders,
    sum(case when is_credit_note then 0 else 1 end) as placed_orders,
    count(*) as all_orders,
    sum(case when is_order and is_returned then 1 else 0 end) as returned_orders,
    sum(case when is_order and is_guest then 1 else 0 end) as guest_orders,
    count(case when is_order then total_usd end) as converted_orders,
    sum(case when total_usd is null or paid_usd is null then 1 else 0 end) as unconverted_orders,
    count(distinct case when is_order then customer_id end) as customers,
    cast(coalesce(sum(case when is_counted then item_count end), 0) as bigint) as items,
    cast(coalesce(sum(case when is_counted then items_amount end), 0) as numeric(20, 4)) as items_amount,
    cast(coalesce(sum(case when is_counted then discount_amount end), 0) as numeric(20, 4)) as discount_amount,
    cast(coalesce(sum(case when is_counted then freight_amount end), 0) as numeric(20, 4)) as freight_amount,
    cast(coalesce(sum(case when is_counted then total_amount end), 0) as numeric(20, 4)) as sales_amount,
    cast(coalesce(sum(case when is_counted and is_credit_note then -total_amount end), 0) as numeric(20, 4)) as credited_amount,
    cast(coalesce(sum(case when is_order then refunded_amount end), 0) as numeric(20, 4)) as refunded_amount,
    cast(coalesce(sum(case when is_counted then items_usd end), 0) as numeric(18, 2)) as items_usd,
    cast(coalesce(sum(case when is_counted then discount_usd end), 0) as numeric(18, 2)) as discount_usd,
    cast(coalesce(sum(case when is_counted then freight_usd end), 0) as numeric(18, 2)) as freight_usd,
    cast(coalesce(sum(case when is_counted then total_usd end), 0) as numeric(18, 2)) as sales_usd,
    cast(coalesce(sum(case when is_counted and is_credit_note then -total_usd end), 0) as numeric(18, 2)) as credited_usd,
    cast(coalesce(sum(case when is_order then refunded_usd end), 0) as numeric(18, 2)) as refunded_usd,
    cast(round(sum(case when is_order then total_usd end) / nullif(count(case when is_order then total_usd end), 0), 2) as numeric(18, 2))
        as average_order_usd,
    sum(case when is_order and is_high_value then 1 else 0 end) as high_value_orders,
    sum(case when is_order and size_tier = 'small' then 1 else 0 end) as small_orders,
    sum(case when is_order and size_tier = 'medium' then 1 else 0 end) as medium_orders,
    sum(case when is_order and size_tier = 'large' then 1 else 0 end) as large_orders,
    sum(case when is_order and discount_tier = 'none' then 1 else 0 end) as undiscounted_orders,
    sum(case when is_order and discount_tier = 'low' then 1 else 0 end) as low_discount_orders,
    sum(case when is_order and discount_tier = 'medium' then 1 else 0 end) as medium_discount_orders,
    sum(case when is_order and discount_tier = 'high' then 1 else 0 end) as high_discount_orders
from orders
group by order_date, channel, region, currency
