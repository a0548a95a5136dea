{% macro reshape_seed() -%}
    {#- A hook of seeds: gives the table of before the columns and types that the seed has now; dbt would fail to fill it. -#}
    {%- set old = load_relation(this) if execute else none -%}
    {%- if old -%}
        {%- set found = {} -%}
        {%- for column in adapter.get_columns_in_relation(old) -%}
            {%- do found.update({column.name: column.data_type}) -%}
        {%- endfor -%}
        {%- for name, type in model.config.column_types.items() -%}
            {%- if name not in found %}
    alter table {{ old }} add column {{ name }} {{ type }};
            {%- elif 'numeric' in type and found[name] | replace(' ', '') != type | replace(' ', '') %}
    alter table {{ old }} alter column {{ name }} type {{ type }};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
