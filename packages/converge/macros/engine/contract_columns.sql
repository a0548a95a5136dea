{% macro contract_columns() -%}
    {#- What an enforced contract says about the table, without descriptions, which may change. None without a contract. -#}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- set constraints = [] -%}
        {%- for constraint in column.constraints -%}
            {%- do constraints.append([constraint.get('type') | string, constraint.get('expression')]) -%}
        {%- endfor -%}
        {%- do columns.append([column.name, column.data_type, constraints]) -%}
    {%- endfor -%}
    {{ return(columns if config.get('contract').enforced else none) }}
{%- endmacro %}
