{% macro judged_tables() -%}
    {{ return([
        ('shop', 'customers'),
        ('shop', 'products'),
        ('shop', 'orders'),
        ('shop', 'order_items'),
        ('shop', 'payments'),
        ('marketplace', 'orders'),
        ('reviews', 'reviews'),
        ('stores', 'sales'),
    ]) }}
{%- endmacro %}
