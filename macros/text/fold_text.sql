{% macro fold_text(text) -%}
    {{ return(adapter.dispatch('fold_text')(text)) }}
{%- endmacro %}

{% macro postgres__fold_text(text) -%}
    {#- Accents (U+0300 to U+036F, once letters are taken apart) and apostrophes go; "sooo" is "so". -#}
    regexp_replace(
        lower(replace(regexp_replace(normalize({{ text }}, nfd), '[\u0300-\u036f''\u2019]', '', 'g'), 'ß', 'ss')), '([a-z])\1{2,}', '\1', 'g'
    )
{%- endmacro %}
