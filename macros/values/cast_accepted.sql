{% macro cast_accepted(expression, type) -%}
    {{ return(adapter.dispatch('cast_accepted')(expression, type)) }}
{%- endmacro %}

{% macro postgres__cast_accepted(expression, type) -%}
    {#- A deleted row is accepted with values that no column can hold. -#}
    cast(
        case when not _is_deleted or pg_input_is_valid(cast({{ expression }} as text), '{{ type }}') then {{ expression }} end
        as {{ type }}
    )
{%- endmacro %}
