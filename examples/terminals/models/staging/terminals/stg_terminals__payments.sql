{# Grain: one row per payment at a card terminal, the latest accepted version; a void one stays as a tombstone. #}
{{ config(unique_key='payment_id', meta={'track': ['order_id']}, indexes=[{'columns': ['order_id']}]) }}

select
    payment_id,
    source_payment_id,
    order_id,
    cast(null as varchar) as refunds_payment_id,
    cast('card' as varchar) as method,
    cast(null as integer) as installments,
    {{ as_price('amount', of_judged=true) }} as amount,
    currency,
    cast(status as varchar) as status,
    paid_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_terminals__payments') }}
where _errors is null
