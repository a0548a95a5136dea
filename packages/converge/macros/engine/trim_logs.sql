{% macro trim_logs(ended) -%}
    {#-
        Deletes from the logs of these models (ids) what every reader has read. The published counterpart of a table is a
        reader too. A table whose model was removed is none: changes are not kept for it.
    -#}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- set readers, trimmed = ['null::oid'], ['null::oid'] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'converging' -%}
        {%- set oid = "to_regclass('" ~ api.Relation.create(schema=node.schema, identifier=node.alias) ~ "')::oid" -%}
        {%- do readers.append(oid) -%}
        {%- do trimmed.append(oid) if node.unique_id in ended -%}
    {%- endfor -%}
    {%- set publications = converge.publications() -%}
    {%- for group in publications.groups.values() -%}
        {%- for id in group.published -%}
            {%- do readers.append("to_regclass('" ~ publications.nodes[id].published ~ "')::oid") -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set consumed = run_query("
        select own.input_oid::regclass::text as log, min(coalesce(reader.bound, own.bound)) as version
        from " ~ inputs ~ " as own
        inner join pg_class as log on own.input_oid = log.oid and log.relnamespace = to_regnamespace('" ~ inputs.include(identifier=false) ~ "')
        left join " ~ inputs ~ " as reader
            on own.relation = reader.input_oid and reader.relation in (" ~ readers | join(', ') ~ ")
        where own.input = '(self)' and own.bound > 1 and own.relation in (" ~ trimmed | join(', ') ~ ")
        group by own.input_oid
        order by own.input_oid
    ") -%}
    {%- call statement() -%}
        -- The state of tables that are gone.
        delete from {{ inputs }} where relation not in (select oid from pg_class);
        {% for row in consumed.rows -%}
        delete from {{ row.log }} where _version <= {{ row.version }};
        {% endfor %}
    {%- endcall -%}
{%- endmacro %}
