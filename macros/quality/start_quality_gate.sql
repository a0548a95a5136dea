{% macro start_quality_gate() -%}
    {#-
        The loads that have passed their threshold: the last one of each table. A full refresh does not ask them again.
        They stand beside converge's state because they are state of the same kind: how far the ledger is dealt with. Who
        drops that schema to begin anew has every load asked again.
    -#}
    {%- if execute and flags.WHICH in ('run', 'build', 'retry') -%}
        {%- set passed = converge.state_table('passed_loads') -%}
        {%- set there = run_query("select to_regnamespace('" ~ passed.include(identifier=false) ~ "'), to_regclass('" ~ passed ~ "')").rows[0] -%}
        {%- if not there[1] -%}
            {#- Two first runs at once: the second waits and finds it. -#}
            {%- do converge.begin() -%}
            {%- do converge.take_lock('storehouse.start_quality_gate', 'the loads that have passed') -%}
            {%- call statement() -%}
                {% if not there[0] -%}
                create schema if not exists {{ passed.include(identifier=false) }};
                {%- endif %}
                create table if not exists {{ passed }} (label text primary key, load_id bigint not null);
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
