{% macro start_run() %}
{% if execute and flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry', 'run-operation') %}
    {% set schema = converge.state_schema() %}
    {% set ledger = var('converge_ledger', 'raw.loads') %}
    {% set ready = run_query("select to_regclass('" ~ schema ~ ".inputs') is not null, to_regclass('" ~ ledger ~ "') is not null").rows[0] %}
    {% if not ready[0] %}
        {# Two first runs at once must not both create: the lock makes the second wait and find everything there. #}
        {% call statement() %}
            select pg_advisory_xact_lock(hashtext('converge.start_run'));
            create schema if not exists {{ schema }};
            create table if not exists {{ schema }}.runs (
                run_id text primary key,
                bound bigint not null,
                pinned_at timestamptz not null default now()
            );
            create table if not exists {{ schema }}.inputs (
                relation oid not null,
                input text not null,
                input_oid oid not null,
                bound bigint not null,
                primary key (relation, input)
            );
        {% endcall %}
    {% endif %}
    {% call statement() %}
        insert into {{ schema }}.runs (run_id, bound)
        {% if ready[1] -%}
        select '{{ converge.run_id() }}', coalesce(max({{ var('converge_ledger_column', 'load_id') }}), 0) from {{ ledger }}
        {%- else -%}
        values ('{{ converge.run_id() }}', 0)
        {%- endif %}
        on conflict (run_id) do nothing;
    {% endcall %}
    {% do adapter.commit() %}
{% endif %}
{% endmacro %}
