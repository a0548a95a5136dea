{% macro check_raw() -%}
    {#- Stops a run before it reads raw when something there is no plain table of rows: code of another role would run in it. -#}
    {%- set odd = run_query(odd_in_raw() ~ ' order by 1, 2').rows if execute else [] -%}
    {%- if odd -%}
        {%- set words = [] -%}
        {%- for row in odd[:5] -%}
            {%- do words.append(row[0] ~ ' ' ~ row[1]) -%}
        {%- endfor -%}
        {{ exceptions.raise_compiler_error(
            "Raw must be plain tables, or what stands there could run code in this build: " ~ words | join('; ')
            ~ (' and ' ~ (odd | length - 5) ~ ' more' if odd | length > 5 else '')
            ~ ". Nothing was read. Let an administrator look at it and remove it, and run deploy/roles.sql again (docs/deploy.md)."
        ) }}
    {%- endif -%}
{%- endmacro %}
