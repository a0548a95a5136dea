{% macro any_payment_is_wrong(payments) -%}
    {#- True when a payment of the array has no id, no usable amount, an unknown status or a time that is none. -#}
    exists (
        select 1
        from {{ json_elements(payments) }} as payment
        where
            coalesce(trim(payment ->> 'payment_id'), '') = ''
            or not coalesce({{ is_money("payment ->> 'amount'") }}, false)
            or coalesce(lower(trim(payment ->> 'status')), '') not in ('authorized', 'captured', 'refunded', 'failed')
            or not coalesce(pg_input_is_valid(payment ->> 'paid_at', 'timestamptz'), true)
    )
{%- endmacro %}
