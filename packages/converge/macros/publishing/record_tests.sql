{% macro record_tests(results) -%}
    {#-
        Writes, for every relation that something published is built from, whether what it holds now was tested. A state
        waits for the model itself to end well in a `dbt build`, and for its tests to pass, in this run or in later ones
        (`dbt retry`, a task a model), while the state stays. A failure waits to go well too: of the model, or of a test of
        it. That of a node that no group is built from holds back all until they are next built.
    -#}
    {%- do converge.follow_inputs() -%}
    {%- set publications = converge.publications() -%}
    {%- set tested = converge.state_table('tested') -%}
    {%- set well, failed = {}, {} -%}
    {%- for result in results -%}
        {%- set node = result.node -%}
        {%- if result.status in ('success', 'pass', 'warn', 'no-op') -%}
            {%- do well.update({node.unique_id: true}) -%}
        {#- What was skipped has not failed: what it waited for has, and says so itself. -#}
        {%- elif result.status != 'skipped' -%}
            {%- set is_test = node.resource_type in ('test', 'unit_test') -%}
            {%- set about = (node.depends_on.nodes if is_test else []) or [node.unique_id] -%}
            {%- do failed.update({node.unique_id: {'about': about, 'is_elsewhere': not about | select('in', publications.all) | list}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set ids = publications.judged.keys() | list -%}
    {%- call statement() -%}
        -- In a hook nothing else begins a transaction.
        begin;
        lock table {{ tested }} in share row exclusive mode
    {%- endcall -%}
    {%- set before = {} -%}
    {%- for row in run_query('select relation, state, waits_for from ' ~ tested).rows -%}{%- do before.update({row.relation: row}) -%}{%- endfor -%}
    {%- set as_run = publications.began.copy() -%}
    {%- do as_run.update(publications.built) -%}
    {#- Of a view, the definition that it has now, over the tables as this run saw them. -#}
    {%- set as_seen = converge.relation_states(ids, tables=as_run) -%}
    {%- set now = converge.relation_states(ids) -%}
    {%- set rows = [] -%}
    {%- for id in ids -%}
        {%- set state = as_seen[id] if publications.judged[id].is_view else as_run.get(id) -%}
        {%- set place = publications.nodes[id].place -%}
        {%- set known = before.get(place) -%}
        {%- set is_known = known and known.state == state -%}
        {%- set required = publications.judged[id].required -%}
        {%- set waits_for = [] -%}
        {#- Failures first: they are why the others were not tried. -#}
        {%- for one, failure in failed.items() if failure.is_elsewhere or failure.about | select('in', publications.judged[id].own) | list -%}
            {%- do waits_for.append(one) -%}
        {%- endfor -%}
        {%- for one in ((known.waits_for or '').split('\n') if is_known else required) if one not in waits_for -%}
            {%- do waits_for.append(one) if one and one not in well and (one in required or id not in well) -%}
        {%- endfor -%}
        {#- Another run that has changed it since says itself what it tested. -#}
        {%- if state and state == now[id] and (id in well or not is_known or waits_for | join('\n') != (known.waits_for or '')) -%}
            {%- set values = [] -%}
            {%- for value in [place, state, waits_for | join('\n'), publications.code_version] -%}{%- do values.append(converge.literal(value)) -%}{%- endfor -%}
            {%- do rows.append('(' ~ values | join(', ') ~ ", '" ~ converge.run_id() ~ "', clock_timestamp())") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if rows -%}
        {%- call statement() -%}
            insert into {{ tested }} (relation, state, waits_for, code_version, run_id, tested_at)
            values {{ rows | join(',\n') }}
            on conflict (relation) do update set
                state = excluded.state,
                waits_for = excluded.waits_for,
                run_id = excluded.run_id,
                code_version = excluded.code_version,
                tested_at = excluded.tested_at
        {%- endcall -%}
    {%- endif -%}
    {%- do adapter.commit() -%}
{%- endmacro %}
