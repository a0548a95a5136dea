{% macro is_not_a(kind, text) -%}
    {#- True when the text is there and is no `number`, `whole number`, `time` or `flag`. Null and blank text are of no kind that is wrong. -#}
    {%- if kind == 'time' -%}
    ({{ text }} is not null and {{ try_cast(text, 'timestamptz') }} is null)
    {%- else -%}
    not {{ is_like(text, {'number': '-?[0-9]+(?:[.][0-9]+)?', 'whole number': '-?[0-9]+', 'flag': '(?:[Tt]rue|[Ff]alse|TRUE|FALSE)'}[kind]) }}
    {%- endif -%}
{%- endmacro %}
