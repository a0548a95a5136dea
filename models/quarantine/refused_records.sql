{# Grain: one row per landed record that staging refused, with every reason. #}
{{ config(unique_key=['_load_id', '_row'], meta={'version': ['_load_id', '_row']}, indexes=[{'columns': ['record_id']}]) }}

with judged as (

    {% for landed in landed_tables() %}
    select
        '{{ landed.source }}' as source,
        '{{ landed.name }}' as table_name,
        {{ staging_key(landed.source, landed.name) }} as staging_key,
        {{ staging_version_at(landed.source, landed.name) }} as version_at,
        _key,
        _record,
        _errors,
        _warnings,
        _load_id,
        _row
    from {{ ref('judged_' ~ landed.source ~ '__' ~ landed.name) }}
    where _errors is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    _load_id,
    _row,
    source,
    table_name,
    -- A record without a key is no version of another one: its load and row identify it.
    -- A long key is shortened to its beginning and a hash: an index entry holds at most 2,704 bytes.
    source || '.' || table_name || coalesce(
        '/' || case when length(_key) <= 600 then _key else left(_key, 64) || '…' || md5(_key) end,
        '@' || _load_id || ':' || _row
    ) as record_id,
    _key as record_key,
    staging_key,
    version_at,
    _record as record,
    _errors as errors,
    {{ error_types('_errors') }} as error_types,
    _warnings as warnings
from judged
