{% macro is_credit_note(credited_order_id, source_status) -%}
    {#- True when the source says that an order gives back: it names the order that it credits, or its status is a credit note's. -#}
    (
        {{ credited_order_id }} is not null
        or coalesce({{ source_status }}, '') in (
            select source_status
            from {{ ref('order_statuses') }}
            where is_credit_note
        )
    )
{%- endmacro %}
