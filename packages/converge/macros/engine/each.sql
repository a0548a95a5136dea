{% macro each(columns, form, joint) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append(form | replace('{}', column)) -%}
    {%- endfor -%}
    {{ return(parts | join(joint)) }}
{%- endmacro %}
