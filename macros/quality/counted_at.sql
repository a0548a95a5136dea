{% macro counted_at(changed_at, load) -%}
    {#- A time outside of what the load read is a broken one, or none: such a row belongs to the end of its load. -#}
    case
        when
            {{ changed_at }} >= coalesce({{ load }}.interval_from, cast('2000-01-01' as timestamptz))
            and {{ changed_at }} < {{ load }}.interval_until
            then {{ changed_at }}
        else coalesce({{ load }}.interval_until - interval '1 microsecond', {{ load }}.started_at)
    end
{%- endmacro %}
