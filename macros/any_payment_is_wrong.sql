{% macro any_payment_is_wrong(payments) -%}
    {#- True when a payment of the array has no id, no usable amount, an unknown status or an impossible time, or when an id stands twice. -#}
    exists (
        select 1
        from {{ json_elements(payments) }} as payment
        where
            coalesce(trim(payment ->> 'payment_id'), '') = ''
            or not coalesce({{ is_money("payment ->> 'amount'") }}, false)
            or coalesce(lower(trim(payment ->> 'status')), '') not in ('authorized', 'captured', 'refunded', 'failed')
            or not coalesce(
                {{ try_cast("payment ->> 'paid_at'", 'timestamptz') }} >= '2000-01-01'
                and {{ try_cast("payment ->> 'paid_at'", 'timestamptz') }} < '2100-01-01',
                payment ->> 'paid_at' is null
            )
    )
    or (select count(*) > count(distinct trim(payment ->> 'payment_id')) from {{ json_elements(payments) }} as payment)
{%- endmacro %}
