{% macro republish(group='all') -%}
    {#-
        For `dbt run-operation`: ends what `unpublish` began. Takes a group forward to its last publication and, if what is
        built is whole and tested, publishes that, in one transaction.
    -#}
    {%- do converge.publish_groups(group, goes_forward=true) -%}
{%- endmacro %}
