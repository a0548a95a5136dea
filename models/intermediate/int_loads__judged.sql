{# Grain: one row per load with at least one row: how many of them were accepted, refused, warned about. #}
{{ config(
    unique_key='load_id',
    incremental_strategy='upsert',
    meta={'version': ['load_id']},
) }}

with judged as (

    {% for source, table in judged_tables() %}
    select
        '{{ source }}' as source,
        '{{ table }}' as table_name,
        _load_id,
        _errors,
        _warnings
    from {{ ref('judged_' ~ source ~ '__' ~ table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    _load_id as load_id,
    min(source) as source,
    min(table_name) as table_name,
    count(*) as judged_rows,
    sum(case when _errors is null then 1 else 0 end) as accepted_rows,
    sum(case when _errors is not null then 1 else 0 end) as refused_rows,
    sum(case when _errors is null and _warnings is not null then 1 else 0 end) as warned_rows
from judged
group by _load_id
