{% macro landed_with_interval(relation, columns, record='jsonb_strip_nulls(to_jsonb(landed.*))') -%}
    {#-
        Each landed row as it is, and between which times its load says that a row of it can lie. Without its nulls the record
        is what its load brought: a column that the source gained later has none in it. No more than these columns: another of
        the source's may have a name that we give to one of ours.
    -#}
    {%- set names = columns.split() + ['_load_id', '_row', '_supersedes'] -%}
    {%- set is_unit_test = model.resource_type == 'unit_test' -%}
    select
        {%- for name in names %}
        landed.{{ name }},
        {%- endfor %}
        {{ 'landed._record' if is_unit_test else record }} as _record,
        {{ dbt.dateadd('day', '-' ~ var('late_days'), 'loads.interval_from') }} as _earliest_at,
        {{ dbt.dateadd('hour', var('clock_tolerance_hours'), 'coalesce(loads.interval_until, loads.started_at)') }} as _latest_at
    {%- if is_unit_test %}
    {#- A row of a unit test has the columns that its test is about; of the others `unsaid` has a null, by the same name. #}
    from (
        select landed.*
        from (select {% for name in names %}null as {{ name }}{{ ', ' if not loop.last }}{% endfor %}) as unsaid
        cross join lateral (select {{ names | join(', ') }}, {{ record }} as _record from {{ converge.landed(relation) }} as landed) as landed
    ) as landed
    {%- else %}
    from {{ converge.landed(relation) }} as landed
    {%- endif %}
    left join {{ converge.landed(source('ledger', 'loads'), 'load_id') }} as loads
        on landed._load_id = loads.load_id
{%- endmacro %}
