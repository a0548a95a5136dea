{% macro beside(target, what) -%}
    {#- The quoted name of a relation that is used while this table is built: a temporary table, or the new table. -#}
    {{ return(adapter.quote(converge.short_name(target.identifier ~ '__' ~ what))) }}
{%- endmacro %}
