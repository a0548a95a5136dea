{# Grain: one row per landed table, as its source declares it. A view: an edit of the declaration shows at once. #}
{{ config(materialized='view') }}

{% for landed in landed_tables() %}
select
    cast('{{ landed.source }}' as varchar) as source,
    cast('{{ landed.name }}' as varchar) as table_name,
    cast({{ landed.meta.refused.limit_percent }} as numeric(5, 2)) as limit_percent,
    cast({{ landed.meta.refused.least_refused }} as integer) as least_refused,
    cast('{{ landed.meta.refused.reason | replace("'", "''") }}' as varchar) as reason
{{ 'union all' if not loop.last }}
{% endfor %}
