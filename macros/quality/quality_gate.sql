{% macro quality_gate() -%}
    {#-
        The post-hook of the folder `staging`. It is for the models that hold the accepted rows of a judged table, and says so
        while dbt parses: the others get neither its SQL nor its parents, which for a judged model would be a circle.
    -#}
    {%- for landed in landed_tables() if model.name == 'stg_' ~ landed.source ~ '__' ~ landed.name -%}
        {{ stop_over_limit(landed.source, landed.name, landed.meta.refused) }}
    {%- endfor -%}
{%- endmacro %}
