{# Grain: one row per landed table, as its source declares it. A view: an edit of the declaration shows at once. #}
{{ config(materialized='view') }}

{% for landed in landed_tables() %}
select
    cast('{{ landed.source }}' as varchar) as source,
    cast('{{ landed.name }}' as varchar) as table_name,
    cast({{ landed.meta.freshness.warn_hours }} as integer) as warn_hours,
    cast({{ landed.meta.freshness.error_hours }} as integer) as error_hours,
    cast('{{ landed.meta.freshness.reason | replace("'", "''") }}' as varchar) as reason
{{ 'union all' if not loop.last }}
{% endfor %}
