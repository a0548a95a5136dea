{% materialization converging, adapter='postgres' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set plan = converge.plan(sql) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set state = converge.read_state(target, plan) -%}
    {%- set mode = converge.choose_mode(state) -%}
    {%- if mode == 'rebuild' and not converge.same_columns(target, converge.bind(sql, state, mode, none)) -%}
        {%- set mode = 'create' -%}
    {%- endif -%}

    {%- if mode == 'create' -%}
        {%- set message = converge.create_table(target, plan, state, sql) -%}
    {%- elif mode == 'skip' -%}
        {%- set message = 'UNCHANGED' -%}
    {%- else -%}
        {%- set message = converge.merge_changes(target, plan, state, mode, sql) -%}
    {%- endif -%}
    {%- call noop_statement('main', message, mode) -%}
        {{ converge.bind(sql, state, mode, {'name': target.identifier ~ '__touched', 'columns': plan.touched_columns}) }}
    {%- endcall -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do apply_grants(target, config.get('grants'), should_revoke=mode != 'create') -%}
    {%- if mode == 'create' -%}
        {%- do persist_docs(target, model) -%}
    {%- endif -%}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target]}) }}
{% endmaterialization %}
