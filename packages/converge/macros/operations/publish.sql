{% macro publish() -%}
    {#-
        For `dbt run-operation`, and called at the end of a `dbt build`: publishes every group that is whole and tested, and
        says of the others why not. What the last builds left is in the database, so it may be tried again at any time.
    -#}
    {%- set publications = converge.publications() -%}
    {%- do converge.stop_if([
        (not publications.groups, "Nothing is configured to be published: give models `meta: {publish: {schema: …}}`."),
        (publications.groups and not run_query("select to_regclass('" ~ converge.state_table('published') ~ "')").rows[0][0], "Nothing was built yet. Run dbt build."),
    ]) -%}
    {%- set published = [] -%}
    {%- for group in publications.groups.values() -%}
        {%- if converge.publish_group(group) -%}{%- do published.extend(group.published) -%}{%- endif -%}
    {%- endfor -%}
    {%- if flags.WHICH == 'run-operation' -%}
        {%- do converge.trim_logs(published) -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
