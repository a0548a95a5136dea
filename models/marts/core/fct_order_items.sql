{# Grain: one row per line of an order, all channels. #}
{{ config(
    unique_key=['order_id', 'line_number'],
    meta={'track': ['product_id']},
    indexes=[{'columns': ['product_id']}],
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('int_orders__unioned')) }}
    union all
    select order_id from {{ converge.changes(ref('stg_shop__order_items')) }}
    union all
    {{ changes_of_channels('lines') }}
    union all
    select order_id from {{ converge.changes(ref('stg_stores__sales')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('int_orders__unioned'), 'order_id') }} as touched

),

lines as (

    select
        order_id,
        line_number,
        product_id,
        seller_id,
        quantity,
        unit_price,
        discount_amount,
        freight_amount,
        ship_by_at
    from {{ converge.touched_rows(ref('stg_shop__order_items'), 'order_id') }} as touched
    where not _is_deleted
    {% for channel, lines in channels('lines') %}
    union all
    select
        order_id,
        line_number,
        product_id,
        cast(null as varchar) as seller_id,
        quantity,
        unit_price,
        discount_amount,
        freight_amount,
        cast(null as timestamptz) as ship_by_at
    from {{ converge.touched_rows(ref(lines), 'order_id') }} as touched
    where _is_deleted is not true
    {% endfor %}
    union all
    select
        order_id,
        line_number,
        product_id,
        cast(null as varchar) as seller_id,
        quantity,
        unit_price,
        discount_amount,
        {{ as_price('0') }} as freight_amount,
        cast(null as timestamptz) as ship_by_at
    from {{ converge.touched_rows(ref('stg_stores__sales'), 'order_id') }} as touched
    where not _is_deleted

),

-- A line whose order has not landed, or was refused, waits for it in `waiting_records`.
priced as (

    select
        lines.order_id,
        lines.line_number,
        orders.channel,
        orders.order_date,
        lines.product_id,
        lines.seller_id,
        lines.ship_by_at,
        lines.quantity,
        orders.currency,
        lines.unit_price,
        {{ as_amount('lines.quantity * lines.unit_price', 'currencies.minor_unit') }} as items_amount,
        {{ as_amount('lines.discount_amount', 'currencies.minor_unit') }} as discount_amount,
        {{ as_amount('lines.freight_amount', 'currencies.minor_unit') }} as freight_amount
    from lines
    inner join orders
        on lines.order_id = orders.order_id
    left join {{ ref('currencies') }} as currencies
        on orders.currency = currencies.currency

)

select
    priced.*,
    cast(priced.items_amount - priced.discount_amount + priced.freight_amount as numeric(20, 4)) as total_amount,
    -- Without a rate there is no amount in dollars.
    cast(
        round((priced.items_amount - priced.discount_amount + priced.freight_amount) * rates.usd_per_unit, 2) as numeric(18, 2)
    ) as total_usd
from priced
left join {{ ref('int_exchange_rates__ranged') }} as rates
    on
        priced.currency = rates.currency
        and cast(date_trunc('month', priced.order_date) as date) = rates.rate_month
        and priced.order_date >= rates.valid_from
        and priced.order_date < rates.valid_until
