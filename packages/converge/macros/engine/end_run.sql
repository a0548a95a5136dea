{% macro end_run(results) %}
{%- if execute and flags.WHICH in ('run', 'build', 'retry') -%}
    {#-
        Deletes logged changes that every reader has read, and the state of tables that are gone.
        A run that failed may have left changes untested: then the logs stay (see `is_tested`). For the same reason a
        successful run clears only the logs of the models that it built, or, if it only tested, of the models that it tested.
        Where many invocations are one run, CONVERGE_RUN_ENDS is `true` for the last, which clears the logs of all models,
        and `false` for the others.
    -#}
    {%- set ends = env_var('CONVERGE_RUN_ENDS', '') -%}
    {%- set is_well = ends != 'false' and not results | selectattr('status', 'in', ['error', 'fail', 'runtime error']) | list -%}
    {%- set built = results | map(attribute='node') | selectattr('resource_type', 'in', ['model', 'seed', 'snapshot']) | map(attribute='unique_id') | list -%}
    {%- if not built -%}
        {%- for result in results -%}{%- do built.extend(result.node.depends_on.nodes) -%}{%- endfor -%}
    {%- endif -%}
    {%- set inputs, runs = converge.state_table('inputs'), converge.state_table('runs') -%}
    {#- A table whose model was removed is no reader: changes are not kept for it. -#}
    {%- set readers, ended = ['null::oid'], ['null::oid'] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'converging' -%}
        {%- set oid = "to_regclass('" ~ api.Relation.create(schema=node.schema, identifier=node.alias) ~ "')::oid" -%}
        {%- do readers.append(oid) -%}
        {%- if ends == 'true' or node.unique_id in built -%}{%- do ended.append(oid) -%}{%- endif -%}
    {%- endfor -%}
    {%- set consumed = run_query("
        select own.input_oid::regclass::text as log, min(coalesce(reader.bound, own.bound)) as version
        from " ~ inputs ~ " as own
        inner join pg_class as log on own.input_oid = log.oid and log.relnamespace = to_regnamespace('" ~ inputs.include(identifier=false) ~ "')
        left join " ~ inputs ~ " as reader
            on own.relation = reader.input_oid and reader.relation in (" ~ readers | join(', ') ~ ")
        where own.input = '(self)' and own.bound > 1 and own.relation in (" ~ ended | join(', ') ~ ")
        group by own.input_oid
        order by own.input_oid
    ") -%}
    {%- call statement() -%}
        delete from {{ inputs }} where relation not in (select oid from pg_class);
        delete from {{ runs }} where pinned_at < now() - interval '30 days';
        {% for row in consumed.rows if is_well -%}
        delete from {{ row.log }} where _version <= {{ row.version }};
        {% endfor %}
    {%- endcall -%}
    {%- do adapter.commit() -%}
{%- endif -%}
{% endmacro %}
