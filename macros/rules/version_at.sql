{% macro version_at(changed_at, is_deleted) -%}
    {#-
        A time that its load can't have read is not trusted. A live row with a time in the future is refused, and where the
        source has the rule `changed_before_interval` so is one with a time before its load's interval. A delete with such a
        time counts as of the end of its load's interval: an earlier time would leave the row alive, a later one would keep
        it from coming back.
        A row that reconciliation landed counts as at least the version that it supersedes, because the source has it now. A
        delete counts as exactly that version, so that whatever lands later under its key wins.
    -#}
    {%- set superseded = 'cast(_supersedes as timestamptz)' -%}
    {%- set first_delete = "greatest(_earliest_at, cast('2000-01-01' as timestamptz))" -%}
    case
        when {{ is_deleted }} and _supersedes is not null then {{ superseded }}
        else greatest({{ superseded }}, case
            when {{ changed_at }} <= _latest_at and not ({{ is_deleted }} and {{ changed_at }} < {{ first_delete }}) then {{ changed_at }}
            when {{ is_deleted }} then {{ dbt.dateadd('hour', '-' ~ var('clock_tolerance_hours'), '_latest_at') }}
            else cast('1900-01-01' as timestamptz)
        end)
    end
{%- endmacro %}
