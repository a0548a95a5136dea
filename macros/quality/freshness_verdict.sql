{% macro freshness_verdict(hours_behind, limits) -%}
    cast(case
        when {{ limits }}.error_hours is null then 'no_limit'
        when {{ hours_behind }} is null then 'no_history'
        when {{ hours_behind }} > {{ limits }}.error_hours then 'error'
        when {{ hours_behind }} > {{ limits }}.warn_hours then 'warn'
        else 'ok'
    end as varchar)
{%- endmacro %}
