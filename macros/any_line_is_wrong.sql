{% macro any_line_is_wrong(lines) -%}
    {#- True when a line of the array has no usable number, product, quantity or amount, a discount above its price, or when
        a number stands twice (1 and "01" are one). -#}
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
            or case
                when {{ is_money("line ->> 'discount_amount'") }} and {{ is_money("line ->> 'unit_price'") }} and line ->> 'quantity' ~ '^[0-9]{1,6}$'
                    then round(cast(line ->> 'discount_amount' as numeric), 2) > cast(line ->> 'quantity' as integer) * round(cast(line ->> 'unit_price' as numeric), 2)
                else false
            end
    )
    or (select count(*) > count(distinct ltrim(line ->> 'line_number', '0')) from {{ json_elements(lines) }} as line)
{%- endmacro %}
