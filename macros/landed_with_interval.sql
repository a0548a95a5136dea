{% macro landed_with_interval(relation, columns=['payload'], record='jsonb_strip_nulls(to_jsonb(landed.*))') -%}
    {#-
        Each landed row, and between which times its load says that a row of it can lie. Of the columns those that are named:
        a source may have one of any name more, and some names are those of what a model computes. Without its nulls the record
        is what its load brought: a column that the source gained later has none in it.
    -#}
    select
        {%- for column in columns + ['_load_id', '_row'] %}
        landed.{{ column }},
        {%- endfor %}
        {{ record }} as _record,
        {{ dbt.dateadd('day', '-' ~ var('late_days'), 'loads.interval_from') }} as _earliest_at,
        {{ dbt.dateadd('hour', var('clock_tolerance_hours'), 'coalesce(loads.interval_until, loads.started_at)') }} as _latest_at
    from {{ converge.landed(relation) }} as landed
    left join {{ converge.landed(source('ledger', 'loads'), 'load_id') }} as loads
        on landed._load_id = loads.load_id
{%- endmacro %}
