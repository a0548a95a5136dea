{% macro possible_time(timestamp) -%}
    {#- For a column that a mart can do without: a rule that warns says what is wrong with the value, and the record passes. -#}
    case when not {{ is_no_date(timestamp) }} then cast({{ timestamp }} as timestamptz) end
{%- endmacro %}
