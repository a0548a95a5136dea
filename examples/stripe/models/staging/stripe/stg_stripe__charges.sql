{# Grain: one row per charge, as its latest accepted event has it. Of two events in one second the one that refunded more is the later. #}
{{ config(
    unique_key='payment_id',
    meta={'track': ['order_id'], 'version': ['_version_at', 'minor_refunded', '_load_id', '_row']},
    indexes=[{'columns': ['order_id']}],
) }}

select
    payment_id,
    source_payment_id,
    order_id,
    refunds_payment_id,
    method,
    installments,
    {{ as_price('amount', of_judged=true) }} as amount,
    minor_refunded,
    currency,
    cast(status as varchar) as status,
    paid_at,
    _is_deleted,
    _version_at,
    _load_id,
    _row
from {{ ref('judged_stripe__charges') }}
where _errors is null
