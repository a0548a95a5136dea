{% macro security_barrier() -%}
    {#- A hook of public models: what a view leaves out is shown to no condition that a reader adds, nor to its error. -#}
    {%- if model.config.materialized == 'view' -%}
    alter view {{ this }} set (security_barrier = true)
    {%- endif -%}
{%- endmacro %}
