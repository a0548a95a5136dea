{% macro latest(sql, plan) -%}
    {#- An upsert model's SQL gives versions; the greatest version of each key is its row. -#}
    {%- if plan.strategy == 'upsert' -%}
        select distinct on ({{ plan.key | join(', ') }}) *
        from (
            {{ sql }}
        ) as versions
        order by {{ plan.key | join(', ') }}, {{ plan.version | join(' desc, ') }} desc
    {%- else -%}
        {{ sql }}
    {%- endif -%}
{%- endmacro %}
