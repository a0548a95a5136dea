{% macro beside_shown(relation, what, with_schema=true) -%}
    {#- The name of a relation in the published schema that is there within the transaction only. -#}
    {%- set name = adapter.quote(converge.short_name(relation.name ~ '__' ~ what)) -%}
    {{ return(relation.space ~ '.' ~ name if with_schema else name) }}
{%- endmacro %}
