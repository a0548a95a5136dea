{% macro reshape(types) -%}
    {#-
        A hook of seeds and snapshots, whose tables dbt keeps as they were: gives the table of before the columns that it lacks, and
        numbers the precision that they have now. Without the first dbt could not fill it, without the second it would round.
    -#}
    {%- set old = load_relation(this) if execute else none -%}
    {%- if old -%}
        {%- set found = {} -%}
        {%- for column in adapter.get_columns_in_relation(old) -%}
            {%- do found.update({column.name: column.data_type | replace(' ', '')}) -%}
        {%- endfor -%}
        {%- for name, type in types.items() -%}
            {%- if name not in found %}
    alter table {{ old }} add column {{ name }} {{ type }};
            {%- elif 'numeric' in type and found[name] != type | replace(' ', '') %}
    alter table {{ old }} alter column {{ name }} type {{ type }};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
