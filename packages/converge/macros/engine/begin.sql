{% macro begin() -%}
    {#- Begins a transaction in a hook. dbt begins none there after its first commit, so a lock would be let go at once. -#}
    {%- call statement() -%}begin{%- endcall -%}
{%- endmacro %}
