{% macro read_publications() -%}
    {#-
        The groups, and for each what it publishes and what that is built from. A mistake in a configuration stops the run
        at its start.
    -#}
    {%- set nodes, tests, members, checksums = {}, {}, {}, [] -%}
    {%- set left_out = var('converge_tests_left_out', []) -%}
    {%- for id, node in graph.nodes.items() -%}
        {%- if node.resource_type == 'test' and not node.tags | select('in', left_out) | list -%}
            {%- for parent in node.depends_on.nodes -%}
                {%- do tests.setdefault(parent, []).append(id) -%}
            {%- endfor -%}
        {%- elif node.resource_type in ('model', 'seed', 'snapshot') -%}
            {%- set materialized = node.config.materialized -%}
            {%- set relation = api.Relation.create(schema=node.schema, identifier=node.alias) -%}
            {%- set entry = {
                'id': id,
                'name': node.name,
                'materialized': materialized,
                'parents': node.depends_on.nodes | default([], true),
                'relation': relation,
                'place': converge.input_name(relation),
                'log': converge.changes_relation(relation) if materialized == 'converging',
                'grants': node.config.grants,
                'checksum': node.checksum.checksum | string,
            } -%}
            {%- set publish = (node.config.get('meta') or {}).get('publish') if node.resource_type == 'model' and env_var('CONVERGE_PUBLISH', '') != 'never' -%}
            {%- if publish and materialized != 'ephemeral' -%}
                {%- do converge.stop_if([
                    (publish is not mapping or not publish.get('schema'),
                        "meta.publish of " ~ node.name ~ " needs the schema that readers read, such as {schema: sales}; a group is optional."),
                    (materialized not in ('converging', 'view'),
                        node.name ~ " is " ~ materialized ~ ". Only converging models, and views on them, can be published: make it one, or give it `meta: {publish: false}`."),
                ]) -%}
                {%- set schema = generate_schema_name(publish.schema, node) | trim -%}
                {%- do entry.update({'group': publish.get('group') or 'all', 'published': api.Relation.create(schema=schema, identifier=node.alias)}) -%}
                {%- do members.setdefault(entry.group, []).append(id) -%}
            {%- endif -%}
            {%- do nodes.update({id: entry}) -%}
        {%- endif -%}
    {%- endfor -%}

    {%- set places = [] -%}
    {%- for entry in nodes.values() if members and entry.materialized != 'ephemeral' -%}{%- do places.append(entry.place) -%}{%- endfor -%}
    {%- set groups, all = {}, {} -%}
    {%- for group, ids in members.items() -%}
        {%- set found = {} -%}
        {%- for id in ids -%}{%- do converge.ancestors(id, nodes, found) -%}{%- endfor -%}
        {%- set tables, views, published = [], [], [] -%}
        {%- for id in found if id in nodes -%}
            {%- set entry = nodes[id] -%}
            {%- do tables.append(id) if entry.materialized == 'converging' -%}
            {%- if entry.published and entry.group == group -%}
                {%- set place = converge.input_name(entry.published) -%}
                {%- do converge.stop_if([(place in places,
                    entry.name ~ " is to be published as " ~ place ~ ", which is the place of another relation of the project. Publish it into another schema.")]) -%}
                {%- do places.append(place) -%}
                {%- do published.append(id) -%}
                {%- do views.append(id) if entry.materialized == 'view' -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for id in views -%}
            {%- for parent in converge.read_by(id, nodes) -%}
                {%- do converge.stop_if([(parent not in nodes or nodes[parent].group != group,
                    "The published view " ~ nodes[id].name ~ " reads " ~ parent.split('.')[2:] | join('.') ~ ", which is not published in its group (" ~ group ~ "): publish that too, in the same group.")]) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- do groups.update({group: {'name': group, 'tables': tables, 'views': views, 'published': published}}) -%}
        {%- do all.update(found) -%}
    {%- endfor -%}

    {#- What `tested` speaks of: tables that something published is built from, and published views. -#}
    {%- set judged = {} -%}
    {%- for group in groups.values() -%}
        {%- for id in group.tables + group.views -%}
            {%- set own, bases = {id: true}, {} -%}
            {%- do converge.own(id, nodes, own) -%}
            {%- do converge.bases(id, nodes, bases) if nodes[id].materialized == 'view' -%}
            {%- set required = [id] -%}
            {%- for part in own -%}{%- do required.extend(tests.get(part, [])) -%}{%- endfor -%}
            {%- set of_inputs = [] -%}
            {%- for input in converge.read_by(id, nodes) if input not in nodes or nodes[input].materialized not in ('converging', 'view') -%}
                {%- do of_inputs.extend(tests.get(input, [])) -%}
            {%- endfor -%}
            {%- do judged.update({id: {
                'is_view': nodes[id].materialized == 'view',
                'own': own.keys() | list,
                'bases': bases.keys() | list,
                'required': required | unique | list,
                'of_inputs': of_inputs | unique | reject('in', required) | list,
            }}) -%}
            {%- do checksums.append(nodes[id].checksum) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return({
        'nodes': nodes,
        'groups': groups,
        'judged': judged,
        'all': all,
        'code_version': env_var('CONVERGE_CODE_VERSION', '') or local_md5(checksums | sort | join(' '))[:12],
        'began': {},
        'built': {},
    }) }}
{%- endmacro %}
