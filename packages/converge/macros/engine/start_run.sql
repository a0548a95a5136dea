{% macro start_run() %}
{%- if execute and flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry', 'run-operation') -%}
    {#- Decides how far this run reads: up to the last load of the ledger. The first run creates the state's tables. -#}
    {%- set runs, inputs, lag = converge.state_table('runs'), converge.state_table('inputs'), converge.state_table('lag') -%}
    {%- set tested = converge.state_table('tested') -%}
    {%- set ledger = var('converge_ledger', 'raw.loads') -%}
    {%- set position = var('converge_ledger_position', 'position') -%}
    {#- The view says what it was made from: that of an earlier version of this package is made anew. -#}
    {%- set made_from = 'converge ' ~ local_md5(converge.lag()) -%}
    {%- set there = run_query("
        select
            to_regnamespace('" ~ inputs.include(identifier=false) ~ "'),
            coalesce(obj_description(to_regclass('" ~ lag ~ "'), 'pg_class') = '" ~ made_from ~ "', false),
            to_regclass('" ~ ledger ~ "'),
            exists (select 1 from pg_attribute where attrelid = to_regclass('" ~ ledger ~ "') and attname = '" ~ position ~ "')
    ").rows[0] -%}
    {%- if not there[1] -%}
        {#- Two first runs at once must not both create: the lock makes the second wait and find everything there. -#}
        {%- do converge.begin() -%}
        {%- do converge.take_lock('converge.start_run', 'the state of converge') -%}
        {%- call statement() -%}
            {% if not there[0] -%}
            -- Lets the session see a schema that another has made since it last looked for it, just before.
            select from pg_namespace limit 0;
            create schema if not exists {{ inputs.include(identifier=false) }};
            {%- endif %}
            create table if not exists {{ runs }} (
                run_id text primary key,
                bound bigint not null,
                pinned_at timestamptz not null default now()
            );
            create table if not exists {{ inputs }} (
                relation oid not null,
                input text not null,
                input_oid oid not null,
                bound bigint not null,
                primary key (relation, input)
            );
            drop view if exists {{ lag }} cascade;
            create view {{ lag }} as
            {{ converge.lag() }};
            comment on view {{ lag }} is '{{ made_from }}';
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {%- if there[2] and not there[3] -%}
        {{ exceptions.raise_compiler_error(
            "The ledger " ~ ledger ~ " has no column " ~ position ~ ", a load's place in the order of commits. Let the loader add it, or name the column that has it in the variable converge_ledger_position."
        ) }}
    {%- elif there[2] -%}
        {#- A dump names tables, the state knows them by oid: in a database that was made from one, no table has a state. -#}
        {%- set bounds = run_query("
            select
                coalesce(max(" ~ position ~ "), 0),
                (select max(bound) from " ~ runs ~ "),
                exists (select from " ~ inputs ~ ") and not exists (
                    select from " ~ inputs ~ " as own
                    inner join pg_class as built on own.relation = built.oid
                    inner join pg_class as log on own.input_oid = log.oid
                    where own.input = '(self)' and log.relnamespace = to_regnamespace('" ~ inputs.include(identifier=false) ~ "')
                ),
                to_regclass('" ~ tested ~ "')
            from " ~ ledger
        ).rows[0] -%}
        {%- if bounds[1] is not none and bounds[0] < bounds[1] -%}
            {{ exceptions.raise_compiler_error(
                "The ledger " ~ ledger ~ " ends at position " ~ bounds[0] ~ ", but an earlier run has read up to position " ~ bounds[1] ~ ": loads were removed. "
                "Their rows are still in the tables. To build all tables anew from the loads that are there: drop schema " ~ inputs.schema ~ " cascade"
            ) }}
        {%- endif -%}
        {%- if bounds[2] -%}
            {%- do log(
                "No table is known to converge: this database was made from a dump, or all tables were dropped. So every model "
                "is created anew from what has landed, this once.", info=true
            ) -%}
            {%- call statement() -%}
                -- An oid of there may be that of another table here.
                delete from {{ inputs }};
                {% if bounds[3] -%}
                delete from {{ tested }};
                {%- endif %}
            {%- endcall -%}
        {%- endif -%}
        {%- call statement() -%}
            insert into {{ runs }} (run_id, bound) values ('{{ converge.run_id() }}', {{ bounds[0] }}) on conflict (run_id) do nothing;
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {%- do converge.start_publishing() -%}
{%- endif -%}
{% endmacro %}
