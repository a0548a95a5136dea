{% macro republish(group='all') -%}
    {#-
        For `dbt run-operation`: ends what `unpublish` began. If what is built is whole and tested, it is published, in one
        transaction; else the group stays where it was taken back to.
    -#}
    {%- do converge.named_groups(group) -%}
    {%- set taken_back = "select 1 from " ~ converge.state_table('published') ~ " where group_name = " ~ converge.literal(group) ~ " and taken_back_at is not null" -%}
    {%- if run_query(taken_back).rows -%}
        {%- do converge.publish_groups(group, goes_forward=true) -%}
    {%- else -%}
        {%- do log('Readers of ' ~ group ~ ' were not taken back: nothing is changed.', info=true) -%}
    {%- endif -%}
{%- endmacro %}
