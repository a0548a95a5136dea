{% macro judge(rules) -%}
    {#- Each rule is (code, severity, condition that is true for a wrong row, words). -#}
    {%- for severity, column in [('error', '_errors'), ('warn', '_warnings')] %}
    nullif(array_remove(array[
        {%- for code, its_severity, condition, words in rules if its_severity == severity %}
        case when {{ condition }} then '{{ code }}: {{ words | replace("'", "''") }}' end,
        {%- endfor %}
        cast(null as text)
    ], null), cast(array[] as text[])) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
