{% macro profiled_columns() -%}
    {#-
        text     share of nulls
        code     share of nulls, distinct values: few, and the same ones every day
        number   share of nulls, average (amounts in the currency of their row)
        Each statistic crosses a z-score of 3 by chance once in some hundred days: list what somebody would act on.
        shop.products is read in full: only its differences land, and they are no sample of it.
    -#}
    {{ return({
        ('shop', 'customers'): {'email': 'text', 'country': 'code'},
        ('shop', 'orders'): {'source_status': 'code', 'currency': 'code', 'discount_code': 'text', 'stated_amount': 'number'},
        ('shop', 'order_items'): {'quantity': 'number', 'unit_price': 'number', 'discount_amount': 'number'},
        ('shop', 'payments'): {'method': 'code', 'status': 'code', 'amount': 'number'},
        ('marketplace', 'orders'): {
            'buyer_email': 'text', 'region': 'code', 'source_status': 'code', 'currency': 'code', 'stated_amount': 'number',
        },
        ('reviews', 'reviews'): {'review_text': 'text', 'language': 'code', 'rating': 'number'},
        ('stores', 'sales'): {
            'customer_id': 'text', 'payment_method': 'code', 'currency': 'code', 'quantity': 'number', 'unit_price': 'number',
        },
    }) }}
{%- endmacro %}
