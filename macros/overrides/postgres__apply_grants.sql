{% macro postgres__apply_grants(relation, grant_config, should_revoke=true) -%}
    {#-
        dbt's own, but for a relation that is published: its grants are those of what readers see. Of what was not tested yet
        they see nothing, not even the planner's samples (`pg_stats` asks for the right to the table, not to its schema).
    -#}
    {%- if model is not defined or not published_relation(model) -%}
        {%- do default__apply_grants(relation, grant_config, should_revoke) -%}
    {%- endif -%}
{%- endmacro %}
