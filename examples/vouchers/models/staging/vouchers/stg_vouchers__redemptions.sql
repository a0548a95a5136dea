{# Grain: one row per voucher and order that it paid for, as last landed: the list is read in full, so the load order is the version order. #}
{{ config(
    unique_key='payment_id',
    meta={'track': ['order_id'], 'version': ['_load_id', '_row']},
    indexes=[{'columns': ['order_id']}],
) }}

select
    payment_id,
    source_payment_id,
    order_id,
    cast(null as varchar) as refunds_payment_id,
    cast('voucher' as varchar) as method,
    cast(null as integer) as installments,
    {{ as_price('amount', of_judged=true) }} as amount,
    currency,
    cast('captured' as varchar) as status,
    paid_at,
    _is_deleted,
    _load_id,
    _row
from {{ ref('judged_vouchers__redemptions') }}
where _errors is null
