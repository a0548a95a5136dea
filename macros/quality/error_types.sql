{% macro error_types(errors) -%}
    {{ return(adapter.dispatch('error_types')(errors)) }}
{%- endmacro %}

{% macro postgres__error_types(errors) -%}
    array(
        select distinct substring(reason from '^[^(]*[(]([a-z]+)[)]') as error_type
        from unnest({{ errors }}) as reason
        order by error_type
    )
{%- endmacro %}
