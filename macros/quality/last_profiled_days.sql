{% macro last_profiled_days() -%}
    select
        source,
        table_name,
        max(day) as day
    from {{ ref('table_volumes_daily') }}
    where
        verdict not in ('incomplete', 'not_judged')
        and accepted_rows > 0
    group by source, table_name
{%- endmacro %}
