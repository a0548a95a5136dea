{#
    Grain: one row per load and hour in which its rows changed (column `*`): how many were accepted, refused, warned about.
    And one per load, day and profiled column, at the day's first hour: statistics of its accepted rows. Refused rows are
    in the counts only: their wrong values would distort the statistics of what the marts read.
    Two grains in one table, so that each landed row is judged once for both: a table is named twice below, and read once.
#}
{{ config(
    unique_key=['load_id', 'column_name', 'changed_hour'],
    incremental_strategy='upsert',
    meta={'version': ['load_id'], 'track': ['source', 'table_name', 'day']},
    indexes=[{'columns': ['source', 'table_name', 'day']}],
) }}

{% set tables = landed_tables() %}

with loads as (

    select * from {{ ref('landed_ledger__loads') }}

),

{% for landed in tables %}
{% set name = landed.source ~ '_' ~ landed.name %}
{% set columns = landed.meta.get('statistics', {}) %}
{{ name }} as (

    select
        _load_id,
        {{ changed_at(landed.meta.read) }} as _changed_at,
        {% for column in columns %}
        {{ column }},
        {% endfor %}
        _errors is null as _is_accepted,
        _errors is null and _warnings is not null as _is_warned,
        _is_deleted
    from {{ ref('judged_' ~ landed.source ~ '__' ~ landed.name) }}

),

{% if columns %}
{{ name }}_days as (

    select
        loads.load_id,
        {{ utc_date(counted_at('judged._changed_at', 'loads')) }} as day,
        {% for column, kind in columns.items() %}
        count(judged.{{ column }}) as {{ column }}_filled,
        {% if kind == 'code' %}
        count(distinct judged.{{ column }}) as {{ column }}_distinct,
        {% elif kind == 'number' %}
        sum(cast(judged.{{ column }} as numeric(38, 6))) as {{ column }}_sum,
        {% endif %}
        {% endfor %}
        count(*) as profiled_rows
    from {{ name }} as judged
    inner join loads
        on judged._load_id = loads.load_id
    where
        judged._is_accepted
        and not judged._is_deleted
    group by
        loads.load_id,
        {{ utc_date(counted_at('judged._changed_at', 'loads')) }}

),

{% endif %}
{% endfor %}

hours as (

    {% for landed in tables %}
    select
        _load_id,
        {{ utc_hour('_changed_at') }} as changed_hour,
        max(_changed_at) as last_changed_at,
        count(*) as judged_rows,
        sum(case when _is_accepted then 1 else 0 end) as accepted_rows,
        sum(case when _is_accepted then 0 else 1 end) as refused_rows,
        sum(case when _is_warned then 1 else 0 end) as warned_rows
    from {{ landed.source }}_{{ landed.name }}
    group by _load_id, {{ utc_hour('_changed_at') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

dated_hours as (

    select
        hours.*,
        {{ counted_at('hours.last_changed_at', 'loads') }} as counted_at,
        loads.kind
    from hours
    inner join loads
        on hours._load_id = loads.load_id

),

profiled as (

    select
        _load_id as load_id,
        '*' as column_name,
        {{ utc_hour('counted_at') }} as changed_hour,
        {{ utc_date('counted_at') }} as day,
        cast(sum(judged_rows) as bigint) as judged_rows,
        cast(sum(accepted_rows) as bigint) as accepted_rows,
        cast(sum(refused_rows) as bigint) as refused_rows,
        cast(sum(warned_rows) as bigint) as warned_rows,
        max(case when kind not in ('full', 'change_log', 'reconcile') then counted_at end) as newest_change_at,
        cast(null as bigint) as profiled_rows,
        cast(null as bigint) as null_rows,
        cast(null as bigint) as distinct_values,
        cast(null as numeric) as value_sum
    from dated_hours
    group by
        _load_id,
        {{ utc_hour('counted_at') }},
        {{ utc_date('counted_at') }}

    {% for landed in tables %}
    {% for column, kind in landed.meta.get('statistics', {}).items() %}
    union all
    select
        load_id,
        '{{ column }}' as column_name,
        {{ utc_midnight('day') }} as changed_hour,
        day,
        null as judged_rows,
        null as accepted_rows,
        null as refused_rows,
        null as warned_rows,
        null as newest_change_at,
        profiled_rows,
        profiled_rows - {{ column }}_filled as null_rows,
        {{ column ~ '_distinct' if kind == 'code' else 'null' }} as distinct_values,
        {{ column ~ '_sum' if kind == 'number' else 'null' }} as value_sum
    from {{ landed.source }}_{{ landed.name }}_days
    {% endfor %}
    {% endfor %}

)

-- The ledger's row is of the same load: a row here still depends on one load alone.
select
    profiled.*,
    loads.source,
    loads.table_name,
    loads.partition,
    loads.kind,
    loads.interval_until as covered_until,
    {{ is_read_late('profiled.day', 'loads.interval_until') }} as is_read_late
from profiled
inner join loads
    on profiled.load_id = loads.load_id
