{% macro run_id() -%}
    {#- One pipeline run may be many dbt invocations (a task a model): CONVERGE_RUN_ID gives them one bound. -#}
    {{ return((env_var('CONVERGE_RUN_ID', '') or invocation_id) | replace("'", "''")) }}
{%- endmacro %}
