{% macro what_stands(group) -%}
    {#-
        Whether a group is whole and tested, as a dict: reasons against it (none when it is), and of the state that stands
        the bound, run_id and code_version. Whole is a group whose tables have all read their inputs, and the sources among
        these up to one position.
    -#}
    {%- set publications = converge.publications() -%}
    {%- set nodes = publications.nodes -%}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- set ids = group.tables + group.views -%}
    {%- set states = converge.relation_states(ids) -%}
    {%- set reads = [] -%}
    {%- for id in group.tables -%}
        {%- for parent in converge.read_by(id, nodes) -%}
            {%- set source = graph.sources[parent] if parent not in nodes -%}
            {%- set relation = api.Relation.create(schema=source.schema, identifier=source.identifier) if source else nodes[parent].relation -%}
            {%- set kind = 'source' if source else 'table' if nodes[parent].materialized == 'converging' else 'seed' -%}
            {%- do reads.append([nodes[id].place, nodes[id].relation, kind, converge.input_name(relation), relation]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set reasons, waits, last = [], {}, namespace(row={}) -%}
    {%- for id in ids -%}
        {%- set place, row, state = nodes[id].place, states[id], converge.state_of(id, states) -%}
        {%- if not state -%}
            {%- do reasons.append(place ~ ' is not built') -%}
        {%- elif row.tested != state -%}
            {%- do reasons.append(place ~ ' has changed and was not tested since') -%}
        {%- elif row.waits_for -%}
            {%- set names = [] -%}
            {%- for one in row.waits_for.split('\n') -%}{%- do names.append("the model's own build" if one == id else one.split('.')[3 if one.startswith('unit_test.') else 2]) -%}{%- endfor -%}
            {%- do waits.setdefault(converge.some_of(names), []).append(place) -%}
        {%- endif -%}
        {%- if row.tested and (not last.row or row.tested_at >= last.row.tested_at) -%}{%- set last.row = row -%}{%- endif -%}
    {%- endfor -%}
    {%- for names, places in waits.items() -%}
        {%- do reasons.append(converge.some_of(places) ~ (' wait' if places | length > 1 else ' waits') ~ ' for ' ~ names ~ ' to go well') -%}
    {%- endfor -%}
    {%- call statement('converge_reads', fetch_result=true) -%}
        with reads (reader, reader_oid, kind, input, input_oid) as (values
            {%- for reader, reader_relation, kind, input, relation in reads %}
            ({{ converge.literal(reader) }}, to_regclass({{ converge.literal(reader_relation) }})::oid, '{{ kind }}', {{ converge.literal(input) }}, to_regclass({{ converge.literal(relation) }})::oid)
            {{- ',' if not loop.last }}
            {%- else %}
            (null::text, null::oid, null::text, null::text, null::oid)
            {%- endfor %}
        )

        select
            reads.kind,
            reads.reader,
            reads.input,
            seen.bound as consumed,
            seen.input_oid is distinct from reads.input_oid or seen.bound is distinct from own.bound as is_behind
        from reads
        -- Not there for a parent that only a hook names.
        inner join {{ inputs }} as seen on reads.reader_oid = seen.relation and reads.input = seen.input
        left join {{ inputs }} as own on reads.input_oid = own.relation and own.input = '(self)'
        order by reads.reader, reads.input
    {%- endcall -%}
    {%- set positions, seeds = {}, {} -%}
    {%- for row in load_result('converge_reads').table.rows -%}
        {%- if row.kind == 'table' and row.is_behind -%}
            {%- do reasons.append(row.reader ~ ' has not read all of ' ~ row.input) -%}
        {%- elif row.kind == 'source' -%}
            {%- do positions.setdefault(row.consumed | int, row.reader) -%}
        {%- elif row.kind == 'seed' and seeds.setdefault(row.input, row.consumed) != row.consumed -%}
            {%- do reasons.append(row.reader ~ ' has read another ' ~ row.input ~ ' than other tables') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if positions | length > 1 -%}
        {%- set least, greatest = positions.keys() | min, positions.keys() | max -%}
        {%- do reasons.append(positions[greatest] ~ ' stands at position ' ~ greatest ~ ' of the ledger, ' ~ positions[least] ~ ' at ' ~ least) -%}
    {%- endif -%}
    {{ return({
        'reasons': reasons,
        'bound': positions.keys() | list | first if positions else none,
        'run_id': last.row.run_id,
        'code_version': last.row.code_version,
    }) }}
{%- endmacro %}
