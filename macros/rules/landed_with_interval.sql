{% macro landed_with_interval(relation, columns, record='jsonb_strip_nulls(to_jsonb(landed.*))') -%}
    {#-
        Each landed row as it is, and between which times its load says that a row of it can lie. Without its nulls the record
        is what its load brought: a column that the source gained later has none in it. No more than these columns: another of
        the source's may have a name that we give to one of ours.
    -#}
    select
        {%- for column in columns.split() + ['_load_id', '_row'] %}
        landed.{{ column }},
        {%- endfor %}
        {{ record }} as _record,
        {{ dbt.dateadd('day', '-' ~ var('late_days'), 'loads.interval_from') }} as _earliest_at,
        {{ dbt.dateadd('hour', var('clock_tolerance_hours'), 'coalesce(loads.interval_until, loads.started_at)') }} as _latest_at
    from {{ converge.landed(relation) }} as landed
    left join {{ converge.landed(source('ledger', 'loads'), 'load_id') }} as loads
        on landed._load_id = loads.load_id
{%- endmacro %}
