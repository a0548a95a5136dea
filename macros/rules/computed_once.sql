{% macro computed_once(relation) -%}
    {{ return(adapter.dispatch('computed_once')(relation)) }}
{%- endmacro %}

{% macro postgres__computed_once(relation) -%}
    {#- PostgreSQL would put each expression in the place of its name, into every rule that reads it; `offset 0` keeps it from that. -#}
    {{ relation }} offset 0
{%- endmacro %}
