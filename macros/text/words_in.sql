{% macro words_in(text) -%}
    {{ return(adapter.dispatch('words_in')(text)) }}
{%- endmacro %}

{% macro postgres__words_in(text) -%}
    {#-
        A word is letters and digits of any script, told by their code points: what a class matches depends on the server's
        locale. Arrays, because the planner takes one for 10 rows, and what `regexp_split_to_table` gives for 1,000.
    -#}
    lateral (
        select
            clauses.clause,
            words.position,
            words.word
        from unnest(regexp_split_to_array({{ fold_text(text) }}, '[.,;:!?()\n\r]+')) with ordinality as clauses (words, clause)
        cross join
            lateral unnest(regexp_split_to_array(clauses.words, '[^a-z0-9\u00c0-\u1fff\u2c00-\ud7ff]+')) with ordinality as words (word, position)
        where words.word != ''
    )
{%- endmacro %}
