{% macro judge(rules, of_key, is_deleted) -%}
    {#-
        Each rule is (code, type, severity, condition that is true for a wrong row, words). A deleted row is asked only for
        what says which row it deletes: the rules of the key. A record that could not be read breaks no other rule.
    -#}
    {%- set types = ['missing', 'type', 'range', 'reference', 'duplicate'] -%}
    {%- set codes, of_the_key = [], [] -%}
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
        {%- if rule[0] in of_key -%}
            {%- do of_the_key.append('(' ~ rule[3] ~ ')') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for code in of_key if code not in codes -%}
        {%- do exceptions.raise_compiler_error('`of_key` names ' ~ code ~ ', and no rule has that code.') -%}
    {%- endfor -%}
    {%- set unreadable = rules | selectattr(0, 'equalto', 'record_unreadable') | map(attribute=3) | first | default('false') -%}
    {%- for severity, column in [('error', '_errors'), ('warn', '_warnings')] %}
    nullif(array_remove(array[
        {%- for code, type, its_severity, condition, words in rules if its_severity == severity %}
        case
            {%- if code != 'record_unreadable' and unreadable != 'false' %} when {{ unreadable }} then null{% endif %}
            {%- if code not in of_key %} when {{ is_deleted }} then null{% endif %} when {{ condition }} then '{{ code }} ({{ type }}): {{ words | replace("'", "''") }}' end,
        {%- endfor %}
        cast(null as text)
    ], null), cast(array[] as text[])) as {{ column }},
    {%- endfor %}
    not coalesce({{ of_the_key | join(' or ') }}, false) as _has_key
{%- endmacro %}
