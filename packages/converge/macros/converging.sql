{% materialization converging, adapter='postgres' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set plan = converge.plan(target, sql) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set state = converge.read_state(target, plan) -%}
    {%- set mode = converge.choose_mode(state) -%}
    {%- if mode != 'skip' -%}
        {%- set plan = dict(plan, **converge.describe(target, plan, state)) -%}
        {%- set mode = converge.confirm_mode(mode, plan, state) -%}
    {%- endif -%}
    {%- if mode == 'incremental' -%}
        {%- set plan = dict(plan, loads=converge.landed_loads(state)) -%}
    {%- endif -%}
    {%- if mode in ('create', 'rebuild') -%}
        {%- do converge.check_types(plan, state) -%}
    {%- endif -%}

    {%- if mode == 'create' -%}
        {%- set done = converge.create_table(target, plan, state) -%}
    {%- elif mode == 'skip' -%}
        {%- set done = {'message': 'UNCHANGED', 'rows': 0} -%}
    {%- else -%}
        {%- set done = converge.merge_changes(target, plan, state, mode) -%}
    {%- endif -%}
    {%- call noop_statement('main', done.message, mode, done.rows) -%}
        {{ converge.bind(plan, state, mode) }}
    {%- endcall -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do apply_grants(target, config.get('grants'), should_revoke=mode != 'create') -%}
    {%- do persist_docs(target, model) -%}
    {%- do converge.note_built(state) -%}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target]}) }}
{% endmaterialization %}
