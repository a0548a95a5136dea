{% macro beside(target, what) -%}
    {#- A quoted name for a relation that serves this one table: of its own session, or until the swap. -#}
    {{ return(adapter.quote(converge.short_name(target.identifier ~ '__' ~ what))) }}
{%- endmacro %}
