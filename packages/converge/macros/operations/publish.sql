{% macro publish(groups=none, compare=false) -%}
    {#-
        For `dbt run-operation`, and called at the end of a `dbt build`: publishes every group (or these) that is whole and
        tested, and says of the others why not. What the last builds left is in the database, so it may be tried again at any
        time. With `compare`, published tables are compared whole with the built ones: that mends what somebody wrote there.
    -#}
    {%- do converge.publish_groups(groups, compare) -%}
{%- endmacro %}
