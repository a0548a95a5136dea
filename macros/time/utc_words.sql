{% macro utc_words(moment) -%}
    to_char({{ moment }} at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
{%- endmacro %}
