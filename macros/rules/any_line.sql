{% macro any_line(lines, is) -%}
    {#- True when a line of the array lacks what it needs, can't be read, can't be, or has the number of another (1 and "01" are one). -#}
    {%- set number, product = json_field('line', 'line_number'), json_id('line', 'product_id') -%}
    {%- set quantity, price = json_field('line', 'quantity'), json_field('line', 'unit_price') -%}
    {%- set discount, freight = json_field('line', 'discount_amount'), json_field('line', 'freight_amount') -%}
    {%- set below_zero = '-[0-9.]*[1-9][0-9.]*' -%}
    {%- set too_high = '-?0*[1-9][0-9]{8,}(?:[.][0-9]+)?' -%}
    {%- set gives_back = is_like(quantity, '-[0-9]+') -%}
    {%- set conditions = {
        'incomplete': [number ~ ' is null', product ~ ' is null', quantity ~ ' is null', price ~ ' is null'],
        'unreadable': [
            is_not_a('whole number', number),
            is_no_id(product),
            is_not_a('whole number', quantity),
            is_not_a('number', price),
            is_not_a('number', discount),
            is_not_a('number', freight),
        ],
        'out_of_range': [
            is_like(number, '(?:-[0-9]*[1-9][0-9]*|0*[1-9][0-9]{6,})'),
            is_like(quantity, '-?(?:0+|0*[1-9][0-9]{6,})'),
            is_like(price, '(?:' ~ below_zero ~ '|' ~ too_high ~ ')'),
            is_like(discount, too_high),
            is_like(freight, too_high),
            '(not ' ~ gives_back ~ ' and (' ~ is_like(discount, below_zero) ~ ' or ' ~ is_like(freight, below_zero) ~ '))',
            is_line_absurd(try_cast(quantity, 'numeric'), try_cast(price, 'numeric')),
            '(' ~ gives_back ~ ' and ' ~ try_cast(discount, 'numeric') ~ ' > 0)',
        ],
        'discounted_too_much': [
            is_discount_too_high(try_cast(discount, 'numeric'), try_cast(quantity, 'numeric'), try_cast(price, 'numeric')),
        ],
    } -%}
    {%- if is == 'duplicated' -%}
    (select count({{ try_cast(number, 'numeric') }}) > count(distinct {{ try_cast(number, 'numeric') }}) from {{ json_elements(lines) }} as line)
    {%- else -%}
    exists (
        select 1
        from {{ json_elements(lines) }} as line
        where {{ conditions[is] | join(' or ') }}
    )
    {%- endif -%}
{%- endmacro %}
