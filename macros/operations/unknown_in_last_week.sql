{% macro unknown_in_last_week(facts, key, known, day, days) -%}
    {#- By the index on the day, so that it costs a week and not a history. -#}
    (
        select
            max(facts.{{ day }}) as last_day,
            count(facts.{{ key }}) as named,
            sum(case when facts.{{ key }} is not null and known.{{ key }} is null then 1 else 0 end) as of_unknown
        from {{ facts }} as facts
        left join {{ known }} as known
            on facts.{{ key }} = known.{{ key }}
        where facts.{{ day }} > (select {{ dbt.dateadd('day', -7, 'max(newest.' ~ day ~ ')') }} from {{ days }} as newest)
    )
{%- endmacro %}
