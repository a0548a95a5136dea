{# Grain: one row per payment of a web order, the latest accepted version. #}
{{ config(unique_key='payment_id', meta={'track': ['order_id']}, indexes=[{'columns': ['order_id']}]) }}

select
    payment_id,
    source_payment_id,
    order_id,
    refunds_payment_id,
    method,
    cast(installments as integer) as installments,
    cast(payment_sequence as integer) as payment_sequence,
    {{ as_price('amount', of_judged=true) }} as amount,
    currency,
    status,
    paid_at,
    created_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_shop__payments') }}
where _errors is null
