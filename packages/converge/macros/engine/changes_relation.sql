{% macro changes_relation(relation) -%}
    {#- The log of a converging table: tracked columns of its changed rows, old and new, and the version that changed them. -#}
    {{ return(converge.state_table(converge.short_name(relation.schema ~ '__' ~ relation.identifier))) }}
{%- endmacro %}
