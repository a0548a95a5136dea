{% macro publications() -%}
    {#-
        What the project publishes, read from dbt's graph once an invocation and kept there: the graph is the one thing
        that the hooks and the models of an invocation share. `built` and `began` are filled as the run goes on.
    -#}
    {%- if 'converge_publications' not in graph -%}
        {%- do graph.update({'converge_publications': converge.read_publications()}) -%}
    {%- endif -%}
    {{ return(graph['converge_publications']) }}
{%- endmacro %}
