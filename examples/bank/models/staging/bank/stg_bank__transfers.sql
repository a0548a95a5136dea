{# Grain: one row per transfer, the latest accepted version; a reversed one stays as a tombstone. #}
{{ config(unique_key='payment_id', meta={'track': ['order_id']}, indexes=[{'columns': ['order_id']}]) }}

select
    payment_id,
    source_payment_id,
    order_id,
    cast(null as varchar) as refunds_payment_id,
    cast('bank_transfer' as varchar) as method,
    cast(null as integer) as installments,
    {{ as_price('amount', of_judged=true) }} as amount,
    currency,
    cast('captured' as varchar) as status,
    paid_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_bank__transfers') }}
where _errors is null
