{% macro landed_tables() -%}
    {#-
        The declarations of models/staging/<source>/_<source>__sources.yml, in the order of their names. While dbt parses it
        knows no source yet, or only those whose file has not changed, and asks only which models are read: so the names
        stand here, and are compared with the declarations when it runs. What else is asked while it parses, as by a
        linter, is answered with `unknown`. A unit test has no sources either, and gives what it needs as an override.
    -#}
    {%- set names = [
        'marketplace.orders',
        'reviews.reviews',
        'shop.customers',
        'shop.order_items',
        'shop.orders',
        'shop.payments',
        'shop.products',
        'stores.sales',
    ] -%}
    {%- set unknown = {
        'refused': {'limit_percent': 0, 'least_refused': 0, 'reason': ''},
        'freshness': {'warn_hours': 0, 'error_hours': 0, 'reason': ''},
        'statistics': {'status': 'code', 'amount': 'number'},
    } -%}
    {%- set declared, tables = {}, [] -%}
    {%- for node in (graph.get('sources', {}).values() if execute else []) if node.config.meta.get('connector') -%}
        {%- do declared.update({node.source_name ~ '.' ~ node.name: node.config.meta}) -%}
    {%- endfor -%}
    {%- if execute and declared and declared | sort != names -%}
        {{ exceptions.raise_compiler_error(
            "macros/quality/landed_tables.sql must name the tables that models/staging declares, in the order of the alphabet: " ~ declared | sort | join(', ')
        ) }}
    {%- endif -%}
    {%- for name in names -%}
        {%- set source, table = name.split('.') -%}
        {%- do tables.append({'source': source, 'name': table, 'meta': declared.get(name, unknown)}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}
