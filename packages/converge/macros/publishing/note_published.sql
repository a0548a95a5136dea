{% macro note_published(group, standing, relations, history, said, changed, has_new_shape) -%}
    {#-
        The end of a publication: how far each published table has followed, what stands, and the publication's number, a new
        one if readers see another thing than before. Earlier ones can be taken back to unless a shape changed. Commits.
    -#}
    {%- set inputs, published, kept = converge.state_table('inputs'), converge.state_table('published'), converge.state_table('publications') -%}
    {%- set name = converge.literal(group.name) -%}
    {%- set told = (standing.bound if standing.bound is not none else 'null') ~ ', ' ~ converge.literal(standing.run_id) ~ ', ' ~ converge.literal(standing.code_version) -%}
    {%- set shape = converge.published_shape(converge.describe_published(group)) if has_new_shape else history.shape -%}
    {%- set is_another = changed or has_new_shape or not history.is_whole -%}
    {%- set is_first = has_new_shape or not history.is_whole or converge.undo_days() == 0 -%}
    {%- call statement() -%}
        {% for id, relation in relations.items() if id not in group.views and not relation.is_current -%}
        {%- set oid = converge.literal(relation.shown) ~ '::regclass::oid' %}
        delete from {{ inputs }} where relation = {{ oid }};
        insert into {{ inputs }} (relation, input, input_oid, bound)
        values ({{ oid }}, {{ converge.literal(relation.place) }}, {{ relation.built_oid }}, {{ relation.version }});
        {% endfor -%}
        {% if is_another -%}
        {%- if is_first %}
        delete from {{ kept }} where group_name = {{ name }};
        {%- for id in group.published if id not in group.views and (relations[id].has_undo or converge.undo_days()) %}
        drop table if exists {{ converge.undo_log(converge.publications().nodes[id].published) }};
        {%- endfor %}
        {%- endif %}
        insert into {{ kept }} (publication, group_name, bound, run_id, code_version, published_at, shape)
        values ({{ history.next }}, {{ name }}, {{ told }}, clock_timestamp(), '{{ shape }}');
        {%- else %}
        update {{ kept }} set (bound, run_id, code_version) = ({{ told }}) where publication = {{ history.latest }};
        {%- endif %}
        delete from {{ published }} where group_name not in (
            {%- for name in converge.publications().groups -%}{{ converge.literal(name) }}{{ ', ' if not loop.last }}{%- endfor -%}
        );
        insert into {{ published }} (group_name, bound, run_id, code_version, published_at, publication)
        values ({{ name }}, {{ told }}, clock_timestamp(), {{ history.next if is_another else history.latest }})
        on conflict (group_name) do update set
            bound = excluded.bound,
            run_id = excluded.run_id,
            code_version = excluded.code_version,
            published_at = excluded.published_at,
            publication = excluded.publication,
            taken_back_at = null,
            held_back = null,
            held_back_at = null
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {%- set up_to = ' up to position ' ~ standing.bound if standing.bound is not none else '' -%}
    {%- do log('published: ' ~ group.name ~ up_to ~ ', of the run ' ~ standing.run_id ~ ' (' ~ (said | join('; ') or 'nothing changed') ~ ')', info=true) -%}
{%- endmacro %}
