{% macro publish(groups=none) -%}
    {#-
        For `dbt run-operation`, and called at the end of a `dbt build`: publishes every group (of those named) that is whole
        and tested, and says of the others why not. What the last builds left is in the database, so it may be tried again at any time.
    -#}
    {%- set publications = converge.publications() -%}
    {%- do converge.stop_if([
        (not publications.groups, "Nothing is configured to be published: give models `meta: {publish: {schema: …}}`."),
        (publications.groups and not run_query("select to_regclass('" ~ converge.state_table('published') ~ "')").rows[0][0], "Nothing was built yet. Run dbt build."),
    ]) -%}
    {%- for group in groups or [] -%}
        {%- do converge.stop_if([(group not in publications.groups, "No model is published in a group " ~ group ~ ". There are: " ~ publications.groups.keys() | join(', ') ~ ".")]) -%}
    {%- endfor -%}
    {%- do converge.follow_inputs() if flags.WHICH == 'run-operation' -%}
    {%- set published = [] -%}
    {%- for group in publications.groups.values() if not groups or group.name in groups -%}
        {%- if converge.publish_group(group) -%}{%- do published.extend(group.published) -%}{%- endif -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'run-operation' -%}
        {%- do converge.trim_logs(published) -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
