{% macro columns_of(table) -%}
    {%- set found = run_query("select attname from pg_attribute where attrelid = '" ~ table ~ "'::regclass and attnum > 0 and not attisdropped order by attnum") -%}
    {{ return(found.columns[0].values() | list) }}
{%- endmacro %}
