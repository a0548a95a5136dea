{% macro is_not_a(kind, text) -%}
    {#- True when the text is there and is no `number`, `whole number`, `integer` (a small one), `time` or `flag`. -#}
    {%- if kind == 'flag' -%}
    lower({{ text }}) not in ('true', 'false')
    {%- else -%}
    {%- set value = try_cast(text, {'number': 'numeric', 'whole number': 'numeric', 'integer': 'integer', 'time': 'timestamptz'}[kind]) -%}
    ({{ text }} is not null and ({{ value }} is null{{ ' or ' ~ value ~ ' != trunc(' ~ value ~ ')' if kind == 'whole number' }}))
    {%- endif -%}
{%- endmacro %}
