{% macro key_words(target, plan) -%}
    {{ return(
        'The key of ' ~ target.identifier ~ ' (' ~ plan.key | join(', ') ~ ') must be in every row, and unique'
        ~ ('; so must the columns of its `touched` block (' ~ plan.touched | join(', ') ~ '), though not unique' if plan.touched | reject('in', plan.key) | list)
        ~ '.'
    ) }}
{%- endmacro %}
