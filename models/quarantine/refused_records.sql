{# Grain: one row per landed record that staging refused, with every reason. #}
{{ config(unique_key=['_load_id', '_row'], meta={'version': ['_load_id', '_row']}) }}

with judged as (

    {% for source, table in judged_tables() %}
    select '{{ source }}' as source, '{{ table }}' as table_name, _key, _record, _errors, _warnings, _load_id, _row
    from {{ ref('judged_' ~ source ~ '__' ~ table) }}
    where _errors is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    _load_id,
    _row,
    source,
    table_name,
    _key as record_key,
    _record as record,
    _errors as errors,
    _warnings as warnings
from judged
