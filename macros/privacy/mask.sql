{% macro mask(expression) -%}
    {{ return(adapter.dispatch('mask')(expression)) }}
{%- endmacro %}

{% macro postgres__mask(expression) -%}
    {#-
        The key stands in the session alone (`storehouse.pii_key`), never in the SQL. Its fingerprint does, as a comment:
        another key is another code, and what was masked with the old one is computed anew.
    -#}
    {%- set key = "current_setting('storehouse.pii_key')" -%}
    {%- set fingerprint = 'not asked' -%}
    {%- if execute -%}
        {%- set fingerprint = run_query(
            "select left(encode(sha256(convert_to('fingerprint ' || nullif(current_setting('storehouse.pii_key', true), ''), 'UTF8')), 'hex'), 8)"
        ).rows[0][0] -%}
        {%- if not fingerprint -%}
            {{ exceptions.raise_compiler_error(
                "This session of dbt has no key to mask personal data with. By hand, first: eval \"$(make -s env)\". It asks for PII_KEY when the warehouse is your own."
            ) }}
        {%- endif -%}
    {%- endif -%}
    cast(left(encode(sha256(convert_to({{ key }}, 'UTF8') || sha256(convert_to({{ key }} || {{ expression }}, 'UTF8'))), 'hex'), 16) as varchar) /* key {{ fingerprint }} */
{%- endmacro %}
