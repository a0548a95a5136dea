{% macro landed_with_interval(relation, columns, record='jsonb_strip_nulls(to_jsonb(landed.*))', optional={}) -%}
    {#-
        Each landed row as it is, and between which times its load says that a row of it can lie. Without its nulls the record
        is what its load brought: a column that the source gained later has none in it. No more than these columns: another of
        the source's may have a name that we give to one of ours.
        A column that raw lacks is that of `unsaid`, a null by the same name: SQL looks for a name in the inner query first. That
        is for what is optional; a row of a unit test has the columns that its test is about, and lacks any other. What the
        documentation compiles does without: the page of columns is made from it, and can't see through the lateral join.
    -#}
    {%- set names = columns.split() + ['_load_id', '_row', '_supersedes'] -%}
    {%- set unsaid = (names if model.resource_type == 'unit_test' else []) + optional.keys() | list if flags.WHICH != 'generate' else [] -%}
    select
        {%- for name in names %}
        landed.{{ name }},
        {%- endfor %}
        {%- for name, type in optional.items() %}
        cast(landed.{{ name }} as {{ type }}) as {{ name }},
        {%- endfor %}
        landed._record,
        {{ dbt.dateadd('day', '-' ~ var('late_days'), 'loads.interval_from') }} as _earliest_at,
        {{ dbt.dateadd('hour', var('clock_tolerance_hours'), 'coalesce(loads.interval_until, loads.started_at)') }} as _latest_at
    from {% if unsaid -%}
    (values ({{ (['null'] * unsaid | length) | join(', ') }})) as unsaid ({{ unsaid | join(', ') }}) -- noqa: ST11
    cross join lateral {% endif -%}
    (
        select
            {%- for name in names + optional.keys() | list %}
            {{ 'landed.' if name not in unsaid }}{{ name }},
            {%- endfor %}
            {{ record }} as _record
        from {{ converge.landed(relation) }} as landed
    ) as landed
    left join {{ converge.landed(source('ledger', 'loads'), 'load_id') }} as loads
        on landed._load_id = loads.load_id
{%- endmacro %}
