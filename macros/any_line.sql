{% macro any_line(lines, is) -%}
    {#- True when a line of the array lacks what it needs, can't be read, can't be, or has the number of another (1 and "01" are one). -#}
    {%- set number, product = json_field('line', 'line_number'), json_field('line', 'product_id') -%}
    {%- set quantity, price = json_field('line', 'quantity'), json_field('line', 'unit_price') -%}
    {%- set discount, freight = json_field('line', 'discount_amount'), json_field('line', 'freight_amount') -%}
    {%- set conditions = {
        'incomplete': [number ~ ' is null', product ~ ' is null', quantity ~ ' is null', price ~ ' is null'],
        'unreadable': [
            is_not_a('whole number', number),
            'not ' ~ is_product_id(product),
            is_not_a('whole number', quantity),
            is_not_a('number', price),
            is_not_a('number', discount),
            is_not_a('number', freight),
        ],
        'out_of_range': [
            'not ' ~ try_cast(number, 'numeric') ~ ' between 0 and 999999',
            'not ' ~ try_cast(quantity, 'numeric') ~ ' between 1 and 999999',
            is_no_amount(try_cast(price, 'numeric')),
            is_no_amount(try_cast(discount, 'numeric')),
            is_no_amount(try_cast(freight, 'numeric')),
        ],
        'discounted_too_much': [
            'round(' ~ try_cast(discount, 'numeric') ~ ', 2) > ' ~ try_cast(quantity, 'numeric') ~ ' * round(' ~ try_cast(price, 'numeric') ~ ', 2)',
        ],
    } -%}
    {%- if is == 'duplicated' -%}
    (select count({{ try_cast(number, 'numeric') }}) > count(distinct {{ try_cast(number, 'numeric') }}) from {{ json_elements(lines) }} as line)
    {%- else -%}
    exists (select 1 from {{ json_elements(lines) }} as line where {{ conditions[is] | join(' or ') }})
    {%- endif -%}
{%- endmacro %}
