{% macro any_payment(payments, is, until=none) -%}
    {#- True when a payment of the array lacks what it needs, can't be read, can't be, or has the id of another. -#}
    {%- set id, amount = json_id('payment', 'payment_id'), json_field('payment', 'amount') -%}
    {%- set status, paid_at = clean_code(json_field('payment', 'status'), 'lower'), json_field('payment', 'paid_at') -%}
    {%- set conditions = {
        'incomplete': [id ~ ' is null', amount ~ ' is null', status ~ ' is null'],
        'unreadable': [is_no_id(id), id ~ " like '%/%'", is_not_a('number', amount), is_not_a('time', paid_at)],
        'installed_unreadably': [is_not_a('whole number', json_field('payment', 'installments'))],
        'out_of_range': [
            is_no_amount('abs(' ~ try_cast(amount, 'numeric') ~ ')'),
            '(' ~ try_cast(amount, 'numeric') ~ ' < 0 and coalesce(' ~ status ~ ", '') != 'refunded')",
            is_no_date(try_cast(paid_at, 'timestamptz')),
        ],
        'in_future': [is_in_future(try_cast(paid_at, 'timestamptz'), until)],
        'captured_back': [status ~ " = 'captured' and " ~ json_field('payment', 'refunds_payment_id') ~ ' is not null'],
        'of_no_status': [status ~ " not in ('authorized', 'captured', 'refunded', 'failed')"],
    } -%}
    {%- if is == 'duplicated' -%}
    (select count({{ id }}) > count(distinct {{ id }}) from {{ json_elements(payments) }} as payment)
    {%- else -%}
    exists (
        select 1
        from {{ json_elements(payments) }} as payment
        where {{ conditions[is] | join(' or ') }}
    )
    {%- endif -%}
{%- endmacro %}
