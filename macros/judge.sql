{% macro judge(rules) -%}
    {#- Each rule is (code, type, severity, condition that is true for a wrong row, words). -#}
    {%- set types = ['missing', 'type', 'range', 'reference', 'duplicate'] -%}
    {%- set codes = [] -%}
    {%- for rule in rules -%}
        {%- if rule | length != 5 -%}
            {%- do exceptions.raise_compiler_error('A rule is (code, type, severity, condition, words); this one has ' ~ rule | length ~ ' parts: ' ~ rule) -%}
        {%- elif rule[1] not in types -%}
            {%- do exceptions.raise_compiler_error("The rule " ~ rule[0] ~ " has the type '" ~ rule[1] ~ "'; it must be one of " ~ types | join(', ') ~ '.') -%}
        {%- elif rule[2] not in ['error', 'warn'] -%}
            {%- do exceptions.raise_compiler_error("The rule " ~ rule[0] ~ " has the severity '" ~ rule[2] ~ "'; it must be error (refuses) or warn (passes and counts).") -%}
        {%- elif rule[0] in codes -%}
            {%- do exceptions.raise_compiler_error('The rule ' ~ rule[0] ~ ' stands twice; give each its own code.') -%}
        {%- endif -%}
        {%- do codes.append(rule[0]) -%}
    {%- endfor -%}
    {%- for severity, column in [('error', '_errors'), ('warn', '_warnings')] %}
    nullif(array_remove(array[
        {%- for code, type, its_severity, condition, words in rules if its_severity == severity %}
        case when {{ condition }} then '{{ code }} ({{ type }}): {{ words | replace("'", "''") }}' end,
        {%- endfor %}
        cast(null as text)
    ], null), cast(array[] as text[])) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
