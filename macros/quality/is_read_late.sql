{% macro is_read_late(day, read_until) -%}
    {#- Twenty hours: a run a day may begin at any hour until 20:00 UTC, and a load of two days is late for the first. -#}
    coalesce({{ read_until }} > {{ utc_midnight(dbt.dateadd('day', 1, day)) }} + interval '20 hours', false)
{%- endmacro %}
