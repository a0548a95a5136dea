{% macro as_lines(array, product_id, quantity, unit_price, discount_amount=none, freight_amount=none, line_number=none) -%}
    {{ return(adapter.dispatch('as_lines')(array, product_id, quantity, unit_price, discount_amount, freight_amount, line_number)) }}
{%- endmacro %}

{% macro postgres__as_lines(array, product_id, quantity, unit_price, discount_amount, freight_amount, line_number) -%}
    {#- Null for an array that is empty or none: such an order has no lines. -#}
    {%- set paths = {'product_id': product_id, 'quantity': quantity, 'unit_price': unit_price, 'discount_amount': discount_amount, 'freight_amount': freight_amount} -%}
    (
        select
            jsonb_agg(
                jsonb_build_object(
                    {%- for name, path in paths.items() if path %}
                    '{{ name }}', theirs.line #> '{ {{- path | replace('.', ',') -}} }',
                    {%- endfor %}
                    'line_number', {{ "theirs.line #> '{" ~ line_number | replace('.', ',') ~ "}'" if line_number else 'theirs.position' }}
                )
                order by theirs.position
            )
        from jsonb_array_elements({{ array }}) with ordinality as theirs (line, position)
    )
{%- endmacro %}
