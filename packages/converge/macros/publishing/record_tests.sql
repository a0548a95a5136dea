{% macro record_tests(results) -%}
    {#-
        Writes, for every relation that something published is built from, whether what it holds now was tested. A state
        waits for the model itself to end well in a `dbt build`, and for its tests to pass, in this run or in later ones
        (`dbt retry`, a task a model), while the state stays. A failure waits to go well too: of the model, of a test of it,
        or of a test of a seed or source that it reads, whatever is built until then. That of a node that no group is built
        from holds back all until they are next built.
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
    {%- call statement() -%}
        -- In a hook nothing else begins a transaction.
        begin;
        lock table {{ tested }} in share row exclusive mode
    {%- endcall -%}
    {%- set states = converge.relation_states(publications.judged.keys() | list) -%}
    {%- set as_run = publications.began.copy() -%}
    {%- do as_run.update(publications.built) -%}
    {%- set rows = [] -%}
    {%- for id, judged in publications.judged.items() -%}
        {#- Of a view, the definition that it has now, over the tables as this run saw them. -#}
        {%- set state = converge.state_of(id, states, tables=as_run) -%}
        {%- set known = states[id] -%}
        {%- set waited_for = (known.waits_for or '').split('\n') | select | list -%}
        {%- set is_known = known.tested and known.tested == state -%}
        {%- set waits_for = [] -%}
        {#- Failures first: they are why the others were not tried. -#}
        {%- for one, failure in failed.items() if failure.is_elsewhere or one in judged.of_inputs or failure.about | select('in', judged.own) | list -%}
            {%- do waits_for.append(one) -%}
        {%- endfor -%}
        {%- for one in (waited_for if is_known else judged.required + (waited_for | select('in', judged.of_inputs) | list)) if one not in waits_for -%}
            {%- do waits_for.append(one) if one not in well and (one in judged.required + judged.of_inputs or id not in well) -%}
        {%- endfor -%}
        {#- Another run that has changed it since says itself what it tested. -#}
        {%- if state and state == converge.state_of(id, states) and (id in well or not is_known or waits_for != waited_for) -%}
            {%- set values = [] -%}
            {%- for value in [publications.nodes[id].place, state, waits_for | join('\n'), publications.code_version] -%}{%- do values.append(converge.literal(value)) -%}{%- endfor -%}
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
