{# Grain: one row per payment of a marketplace order's latest version. #}
{{ config(
    unique_key='payment_id',
    incremental_strategy='replace_keys',
    meta={'track': ['order_id']},
) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_marketplace__orders')) }}
{% endcall %}

with orders as (

    select * from {{ converge.touched_rows(ref('stg_marketplace__orders'), 'order_id') }} as touched
    where not _is_deleted

)

select
    orders.order_id || '/' || {{ json_id('payment', 'payment_id') }} as payment_id,
    {{ json_id('payment', 'payment_id') }} as source_payment_id,
    orders.order_id,
    orders.order_id || '/' || {{ json_id('payment', 'refunds_payment_id') }} as refunds_payment_id,
    coalesce({{ clean_code(json_field('payment', 'method'), 'lower') }}, 'unknown') as method,
    cast({{ try_cast(json_field('payment', 'installments'), 'integer') }} as integer) as installments,
    {{ as_price(json_field('payment', 'amount')) }} as amount,
    orders.currency,
    {{ clean_code(json_field('payment', 'status'), 'lower') }} as status,
    cast({{ json_field('payment', 'paid_at') }} as timestamptz) as paid_at,
    orders._is_deleted
from orders
cross join {{ json_elements('orders.payments') }} as payment
