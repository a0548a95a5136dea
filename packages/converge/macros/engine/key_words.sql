{% macro key_words(target, plan) -%}
    {{ return(
        'The key of ' ~ target.identifier ~ ' (' ~ plan.key | join(', ') ~ ') must be there in every row, and once'
        ~ ('; so must the columns of its `touched` block (' ~ plan.touched | join(', ') ~ '), though not once' if plan.touched | reject('in', plan.key) | list)
        ~ '.'
    ) }}
{%- endmacro %}
