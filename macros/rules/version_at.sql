{% macro version_at(changed_at, is_deleted) -%}
    {#-
        A time that its load cannot have seen says nothing about when the row changed. A living row of such a time is refused.
        A deleted one was deleted before its load's interval ended, and that is its time: older ones would leave the row alive,
        later ones would keep it from coming back.
        A row that reconciliation landed counts as no older than the version that it supersedes: the source has this row now.
        One that is gone counts as that version, so that any later change brings it back.
    -#}
    case when {{ is_deleted }} and _supersedes is not null then cast(_supersedes as timestamptz) else greatest(cast(_supersedes as timestamptz), case
        when {{ changed_at }} <= _latest_at and not ({{ is_deleted }} and {{ changed_at }} < greatest(_earliest_at, cast('2000-01-01' as timestamptz))) then {{ changed_at }}
        when {{ is_deleted }} then {{ dbt.dateadd('hour', '-' ~ var('clock_tolerance_hours'), '_latest_at') }}
        else cast('1900-01-01' as timestamptz)
    end) end
{%- endmacro %}
