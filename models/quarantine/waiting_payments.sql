{# Grain: one row per web payment whose order is not accepted: it has not landed, was refused or was deleted. #}
{{ config(unique_key='payment_id', incremental_strategy='replace_keys', indexes=[{'columns': ['order_id']}]) }}

{% call converge.touched('payment_id') %}
    select payments.payment_id
    from {{ ref('stg_shop__payments') }} as payments
    inner join {{ converge.changes(ref('stg_shop__orders')) }} as changed
        on payments.order_id = changed.order_id
    union all
    select payment_id from {{ converge.changes(ref('stg_shop__payments')) }}
{% endcall %}

with payments as (

    select * from {{ ref('stg_shop__payments') }}
    where
        {{ converge.is_touched('payment_id') }}
        and not _is_deleted

)

select
    payments.payment_id,
    payments.source_payment_id,
    payments.order_id,
    payments.status,
    payments.amount,
    payments.currency,
    coalesce(payments.created_at, payments.paid_at, payments._version_at) as waiting_since,
    payments._load_id
from payments
left join {{ ref('stg_shop__orders') }} as orders
    on
        payments.order_id = orders.order_id
        and not orders._is_deleted
where orders.order_id is null
