{% macro start_operations() -%}
    {#-
        What the commands append to: which alerts opened, were told and ended, and what the audits found, which the models
        `alerts` and `alert_conditions` read; and which sales reports were sent. A warehouse that is dropped and built anew
        begins without: open alerts are told again, and the last report is sent again.
    -#}
    {%- if execute and flags.WHICH in ('run', 'build', 'retry') and target.name not in var('converge_mirrors', {}) -%}
        {%- set alerts, audits, reports = operations_state('alert_log'), operations_state('audit_log'), operations_state('report_log') -%}
        {%- if run_query("select to_regclass('" ~ [alerts, audits, reports] | join("') is null or to_regclass('") ~ "') is null").rows[0][0] -%}
            {#- Two first runs at once: the second waits and finds them. -#}
            {%- do converge.begin() -%}
            {%- do converge.take_lock('storehouse.start_operations', 'what operations keeps') -%}
            {%- call statement() -%}
                create schema if not exists {{ generate_schema_name('operations', {}) | trim }};
                create table if not exists {{ alerts }} (
                    -- Drawn when it opens; its later rows have the same.
                    alert_id bigserial,
                    event text not null check (event in ('opened', 'told', 'resolved', 'told_resolved')),
                    kind text not null,
                    about text not null,
                    severity text not null,
                    group_name text not null,
                    since timestamptz,
                    words text not null,
                    -- The variable that names where it was told.
                    route text check ((route is not null) = (event in ('told', 'told_resolved'))),
                    at timestamptz not null default clock_timestamp()
                );
                comment on table {{ alerts }} is 'A row per event of an alert: it opened, was told to a route, ended, its end was told. Append-only; `make run`, the DAGs and `make alerts SEND=yes` write it.';
                create table if not exists {{ audits }} (
                    relation text not null,
                    rows bigint not null,
                    differences bigint not null,
                    audited_at timestamptz not null default clock_timestamp()
                );
                comment on table {{ audits }} is 'A row per table and audit: how many rows it has, and how many differ from a rebuild. Append-only; `make audit` and the DAG `maintenance` write it.';
                create table if not exists {{ reports }} (
                    every text not null check (every in ('day', 'week', 'month')),
                    starts_on date not null,
                    -- Its place in REPORT_URL, which may have a password.
                    route text not null,
                    sent_at timestamptz not null default clock_timestamp()
                );
                comment on table {{ reports }} is 'A row per period and route to which its sales report was sent. Append-only; `make run`, the DAGs and `make report SEND=yes` write it.';
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
