{% macro publish_group(group) -%}
    {#-
        Publishes a group, or says why not. True if it did. One transaction, which sees the built side as it was at one moment: first what
        takes long and holds up nobody (rows, new tables), then what waits for readers (changed shapes and definitions).
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {%- set inputs, published = converge.state_table('inputs'), converge.state_table('published') -%}

    {%- set names, schemas, needed = [], [], [] -%}
    {%- for id in group.tables -%}
        {%- do nodes[id].update({'log': converge.changes_relation(nodes[id].relation)}) -%}
        {%- do names.insert(loop.index0, nodes[id].log) -%}
        {%- do names.append(nodes[id].relation) -%}
    {%- endfor -%}
    {%- for id in group.published -%}
        {%- set schema = nodes[id].published.without_identifier() | string -%}
        {%- do schemas.append(schema) if schema not in schemas -%}
    {%- endfor -%}
    {%- for name in names -%}{%- do needed.append('(to_regclass(' ~ converge.literal(name) ~ ')::oid, ' ~ converge.literal(name) ~ ')') -%}{%- endfor -%}
    {%- set absent = run_query("select string_agg(name, ', ') as names from (values " ~ needed | join(', ') ~ ") as needed (oid, name) where oid is null").rows[0].names -%}
    {%- if absent -%}
        {%- do converge.begin() -%}
        {{ return(converge.hold_back(group, absent ~ ' is not built yet')) }}
    {%- endif -%}
    {%- for schema in schemas if not run_query("select to_regnamespace(" ~ converge.literal(schema) ~ ")").rows[0][0] -%}
        {%- call statement() -%}create schema if not exists {{ schema }}{%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endfor -%}

    {%- call statement() -%}
        begin;
        set transaction isolation level repeatable read;
        -- Before the first query, which fixes what is seen. One publisher at a time; and while this looks, no table is
        -- replaced: what a newer transaction has put into a new table cannot be seen.
        lock table {{ published }} in share row exclusive mode;
        -- Logs first, as the run that replaces a table takes them.
        lock table {{ names | join(', ') }} in access share mode
    {%- endcall -%}
    {%- set standing = converge.what_stands(group) -%}
    {%- if standing.reasons -%}
        {{ return(converge.hold_back(group, standing.reasons | join('; '))) }}
    {%- endif -%}

    {%- set relations = converge.describe_published(group) -%}
    {%- set said, new_tables, views, definitions = [], [], [], {} -%}
    {%- call statement() -%}savepoint converge{%- endcall -%}
    {%- for id in group.published if id not in group.views -%}
        {%- set relation = relations[id] -%}
        {%- do converge.stop_if([(relation.shown_kind not in (none, 'r'), relation.shown ~ " is no table, so " ~ nodes[id].name ~ " cannot be published there. Drop it, or publish into another schema.")]) -%}
        {%- set is_current = relation.is_alike and relation.seen_oid == relation.built_oid and relation.seen == relation.version -%}
        {%- if relation.shown_oid is none -%}
            {%- do said.append(relation.name ~ ' ' ~ converge.publish_copy(relation, relation.shown)) -%}
        {%- elif not relation.is_alike -%}
            {%- do said.append(relation.name ~ ' ' ~ converge.publish_copy(relation, converge.beside_shown(relation, 'publishing')) ~ ', of another shape') -%}
            {%- do new_tables.append(id) -%}
        {%- elif not is_current -%}
            {%- set counts = converge.publish_rows(id, relation) -%}
            {%- do said.append(relation.name ~ ' +' ~ counts[0] ~ ' -' ~ counts[1]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for id in group.views -%}
        {%- set relation = relations[id] -%}
        {%- do converge.stop_if([(relation.shown_kind not in (none, 'v'), relation.shown ~ " is no view, so " ~ nodes[id].name ~ " cannot be published there. Drop it, or publish into another schema.")]) -%}
        {%- do definitions.update({id: converge.published_definition(relation.definition, relations)}) -%}
        {%- set is_replaced = converge.read_by(id, nodes) | select('in', new_tables + views) | list -%}
        {%- if is_replaced or relation.shown_definition != definitions[id] or relation.shown_options != relation.options -%}
            {%- do views.append(id) -%}
            {%- do said.append(relation.name ~ ' defined') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if new_tables + views -%}
        {%- set in_the_way = converge.switch_shapes(new_tables, views, relations, definitions) -%}
        {%- if in_the_way -%}
            {%- call statement() -%}rollback to savepoint converge{%- endcall -%}
            {{ return(converge.hold_back(group, 'its shape changed and in the way is ' ~ in_the_way ~ ': drop or change that')) }}
        {%- endif -%}
        {%- do converge.check_views(views, relations) -%}
    {%- endif -%}

    {%- do converge.carry_comments(relations) -%}
    {%- for id in group.published -%}
        {%- do apply_grants(nodes[id].published, nodes[id].grants, should_revoke=true) -%}
    {%- endfor -%}
    {%- call statement() -%}
        {% for id in group.published if id not in group.views -%}
        {%- set relation = relations[id] %}
        {%- set oid = converge.literal(relation.shown) ~ '::regclass::oid' %}
        {%- if not (relation.is_alike and relation.seen_oid == relation.built_oid and relation.seen == relation.version) %}
        delete from {{ inputs }} where relation = {{ oid }};
        insert into {{ inputs }} (relation, input, input_oid, bound)
        values ({{ oid }}, {{ converge.literal(relation.place) }}, {{ relation.built_oid }}, {{ relation.version }});
        {%- endif %}
        {%- endfor %}
        delete from {{ published }} where group_name not in (
            {%- for name in converge.publications().groups -%}{{ converge.literal(name) }}{{ ', ' if not loop.last }}{%- endfor -%}
        );
        insert into {{ published }} (group_name, bound, run_id, code_version, published_at)
        values ({{ converge.literal(group.name) }}, {{ standing.bound if standing.bound is not none else 'null' }}, {{ converge.literal(standing.run_id) }}, {{ converge.literal(standing.code_version) }}, clock_timestamp())
        on conflict (group_name) do update set
            bound = excluded.bound,
            run_id = excluded.run_id,
            code_version = excluded.code_version,
            published_at = excluded.published_at,
            held_back = null,
            held_back_at = null
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {%- set up_to = ' up to position ' ~ standing.bound if standing.bound is not none else '' -%}
    {%- do log('published: ' ~ group.name ~ up_to ~ ', of the run ' ~ standing.run_id ~ ' (' ~ (said | join('; ') or 'nothing changed') ~ ')', info=true) -%}
    {{ return(true) }}
{%- endmacro %}
