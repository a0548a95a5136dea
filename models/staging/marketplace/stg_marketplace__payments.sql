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

    select * from {{ ref('stg_marketplace__orders') }}
    where
        {{ converge.is_touched('order_id') }}
        and not _is_deleted

)

select
    orders.order_id || '/' || trim(payment ->> 'payment_id') as payment_id,
    trim(payment ->> 'payment_id') as source_payment_id,
    orders.order_id,
    coalesce({{ clean_code("payment ->> 'method'", 'lower') }}, 'unknown') as method,
    cast({{ try_cast("payment ->> 'installments'", 'integer') }} as integer) as installments,
    cast(payment ->> 'amount' as numeric(18, 2)) as amount,
    orders.currency,
    lower(trim(payment ->> 'status')) as status,
    cast(payment ->> 'paid_at' as timestamptz) as paid_at
from orders
cross join {{ json_elements('orders.payments') }} as payment
