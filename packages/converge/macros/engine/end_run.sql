{% macro end_run(results) %}
{%- if execute and flags.WHICH in ('run', 'build', 'retry') -%}
    {#-
        Publishes what was tested, and deletes logged changes that every reader has read.
        A run that failed may have left changes untested: then the logs stay (see `is_tested`). For the same reason a
        successful run clears only the logs of the models that it built, or, if it only tested, of the models that it tested.
        Where many invocations are one run, CONVERGE_RUN_ENDS is `true` for the last, which clears the logs of all models,
        and `false` for the others.
    -#}
    {%- set ends = env_var('CONVERGE_RUN_ENDS', '') -%}
    {%- if flags.WHICH == 'build' and converge.publications().groups -%}
        {%- do converge.record_tests(results) -%}
        {%- set publishes = env_var('CONVERGE_PUBLISH', '') or ('at run end' if var('converge_publish_at_run_end', true) else 'later') -%}
        {%- if ends != 'false' and publishes == 'at run end' -%}{%- do converge.publish() -%}{%- endif -%}
    {%- endif -%}
    {%- set is_well = ends != 'false' and not results | selectattr('status', 'in', ['error', 'fail', 'runtime error']) | list -%}
    {%- set built = results | map(attribute='node') | selectattr('resource_type', 'in', ['model', 'seed', 'snapshot']) | map(attribute='unique_id') | list -%}
    {%- if not built -%}
        {%- for result in results -%}{%- do built.extend(result.node.depends_on.nodes) -%}{%- endfor -%}
    {%- endif -%}
    {%- do converge.trim_logs((graph.nodes.keys() | list if ends == 'true' else built) if is_well else []) -%}
    {%- call statement() -%}
        delete from {{ converge.state_table('runs') }} where pinned_at < now() - interval '30 days';
    {%- endcall -%}
    {%- do adapter.commit() -%}
{%- endif -%}
{% endmacro %}
