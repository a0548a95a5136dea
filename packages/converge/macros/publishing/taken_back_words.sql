{% macro taken_back_words(publication) -%}
    {{ return('it was taken back to publication ' ~ publication ~ ' and waits for converge.republish') }}
{%- endmacro %}
