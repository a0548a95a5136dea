{% macro named_groups(names=none) -%}
    {#- The groups of these names, by default all. Stops where there is none of a name, or nothing was built yet. -#}
    {%- set groups = converge.publications().groups -%}
    {%- set found = [] -%}
    {%- do converge.stop_if([(not groups, "Nothing is configured to be published: give models `meta: {publish: {schema: …}}`.")]) -%}
    {%- for name in (groups if names is none else converge.as_list(names)) -%}
        {%- do converge.stop_if([(name not in groups, "No group is called " ~ name ~ ". There are: " ~ groups | join(', ') ~ ".")]) -%}
        {%- do found.append(groups[name]) -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'run-operation' -%}
        {%- do converge.stop_if([(not run_query("select to_regclass('" ~ converge.state_table('publications') ~ "')").rows[0][0], "Nothing was built yet. Run dbt build.")]) -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}
