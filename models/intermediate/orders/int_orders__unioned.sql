{# Grain: one row per order of any channel: its header, without lines and payments. #}
{{ config(
    unique_key='order_id',
    meta={'track': ['customer_id']},
    indexes=[{'columns': ['customer_id']}],
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_shop__orders')) }}
    union all
    {{ changes_of_channels('orders') }}
    union all
    select order_id from {{ converge.changes(ref('stg_stores__sales')) }}
    union all
    -- A customer's country decides the region of their orders. Where all versions have the same country, no order changes.
    select orders.order_id
    from {{ ref('stg_shop__orders') }} as orders
    inner join (
        select changed.customer_id
        from {{ converge.changes(ref('stg_shop__customer_versions')) }} as changed
        left join {{ ref('stg_shop__customer_versions') }} as versions
            on changed.customer_id = versions.customer_id
        group by changed.customer_id
        having
            count(distinct versions._version_at) = count(distinct changed._version_at)
            or min(coalesce(versions.country, '')) != max(coalesce(versions.country, ''))
            or min(coalesce(changed.country, '')) != max(coalesce(changed.country, ''))
            or min(coalesce(versions.country, '')) != min(coalesce(changed.country, ''))
    ) as moved
        on orders.customer_id = moved.customer_id
{% endcall %}

with web_orders as (

    select * from {{ converge.touched_rows(ref('stg_shop__orders'), 'order_id') }} as touched
    where not _is_deleted

),

-- The customer's country when the order was placed; the first one known when the order is older.
web_countries as (

    select
        web_orders.order_id,
        versions.country,
        row_number() over (
            partition by web_orders.order_id
            order by
                case when versions._version_at <= web_orders.placed_at then 0 else 1 end,
                case when versions._version_at <= web_orders.placed_at then versions._version_at end desc,
                versions._version_at
        ) as closeness
    from web_orders
    inner join {{ ref('stg_shop__customer_versions') }} as versions
        on web_orders.customer_id = versions.customer_id
    -- A deleted customer may have nothing but the id.
    where versions.country is not null or not versions._is_deleted

),

web as (

    select
        web_orders.order_id,
        web_orders.source_order_id,
        'web' as channel,
        web_orders.customer_id,
        web_orders.credited_order_id,
        web_countries.country,
        -- The country decides.
        cast(null as varchar) as region,
        web_orders.source_status,
        web_orders.currency,
        web_orders.stated_amount,
        web_orders.placed_at,
        web_orders.approved_at,
        web_orders.shipped_at,
        web_orders.delivered_at,
        web_orders.estimated_delivery_at
    from web_orders
    left join web_countries
        on
            web_orders.order_id = web_countries.order_id
            and web_countries.closeness = 1

),

{% for channel, orders in channels('orders') %}
{{ channel }} as (

    select
        order_id,
        source_order_id,
        '{{ channel }}' as channel,
        customer_id,
        credited_order_id,
        country,
        region,
        source_status,
        currency,
        stated_amount,
        placed_at,
        cast(null as timestamptz) as approved_at,
        cast(null as timestamptz) as shipped_at,
        cast(null as timestamptz) as delivered_at,
        cast(null as timestamptz) as estimated_delivery_at
    from {{ converge.touched_rows(ref(orders), 'order_id') }} as touched
    where not _is_deleted

),

{% endfor %}
store_lines as (

    select
        *,
        row_number() over (partition by order_id order by line_number) as position
    from {{ converge.touched_rows(ref('stg_stores__sales'), 'order_id') }} as touched
    where not _is_deleted

),

-- The first line gives the receipt's store, customer, currency and time. A test warns where customer or currency differ.
stores as (

    select
        order_id,
        receipt_id as source_order_id,
        'stores' as channel,
        customer_id,
        credited_order_id,
        country,
        region,
        'delivered' as source_status,
        currency,
        {{ as_price('null') }} as stated_amount,
        sold_at as placed_at,
        cast(null as timestamptz) as approved_at,
        sold_at as shipped_at,
        sold_at as delivered_at,
        cast(null as timestamptz) as estimated_delivery_at
    from store_lines
    where position = 1

),

unioned as (

    select * from web
    {% for channel, orders in channels('orders') %}
    union all
    select * from {{ channel }}
    {% endfor %}
    union all
    select * from stores

)

select
    unioned.order_id,
    unioned.source_order_id,
    cast(unioned.channel as varchar) as channel,
    unioned.customer_id,
    unioned.credited_order_id,
    unioned.country,
    cast(coalesce(unioned.region, countries.region, 'other') as varchar) as region,
    -- An order whose status is no longer in the seed stays; a test reports it.
    coalesce(statuses.status, unioned.source_status) as status,
    coalesce(statuses.is_counted, true) as is_counted,
    coalesce(statuses.is_returned, false) as is_returned,
    coalesce(statuses.is_credit_note, false) or unioned.credited_order_id is not null as is_credit_note,
    unioned.currency,
    unioned.stated_amount,
    unioned.placed_at,
    {{ reporting_date('unioned.placed_at') }} as order_date,
    {{ reporting_hour('unioned.placed_at') }} as order_hour,
    unioned.approved_at,
    unioned.shipped_at,
    unioned.delivered_at,
    unioned.estimated_delivery_at,
    {{ dbt.datediff(reporting_date('unioned.estimated_delivery_at'), reporting_date('unioned.delivered_at'), 'day') }} as days_late
from unioned
left join {{ ref('order_statuses') }} as statuses
    on unioned.source_status = statuses.source_status
left join {{ ref('countries') }} as countries
    on unioned.country = countries.country
