{% macro any_line_is_wrong(lines) -%}
    {#- True when a line of the array has no usable number, product, quantity or amount, or a number stands twice. -#}
    exists (
        select 1
        from {{ json_elements(lines) }} as line
        where
            not coalesce(line ->> 'line_number' ~ '^[0-9]{1,6}$', false)
            or not coalesce({{ is_product_id("trim(line ->> 'product_id')") }}, false)
            or not coalesce(line ->> 'quantity' ~ '^[0-9]{1,6}$' and line ->> 'quantity' !~ '^0+$', false)
            or not coalesce({{ is_money("line ->> 'unit_price'") }}, false)
            or not coalesce({{ is_money("line ->> 'discount_amount'") }}, line ->> 'discount_amount' is null)
            or not coalesce({{ is_money("line ->> 'freight_amount'") }}, line ->> 'freight_amount' is null)
    )
    or (select count(*) > count(distinct cast(line -> 'line_number' as varchar)) from {{ json_elements(lines) }} as line)
{%- endmacro %}
