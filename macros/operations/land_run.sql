{% macro land_run(results) -%}
    {#-
        The hook at the end of every invocation: lands what it did in raw_operations, in one statement. A failure of that is
        printed, and fails nothing; it waits some seconds for a lock, no more. What breaks off before its end lands nothing.
    -#}
    {%- if execute and flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry') and target.name not in var('converge_mirrors', {}) -%}
        {%- set published = converge.state_table('published') if converge.publications().groups -%}
        {%- set own = '$run_' ~ invocation_id | replace('-', '') ~ '$' -%}
        {%- call statement('landed_run', fetch_result=true) -%}
            do {{ own }}
            declare
                counted jsonb;
                counted_since timestamptz;
                statements_forgotten bigint;
            begin
                perform set_config('lock_timeout', '5s', true);
                {{ count_buffers('counted', 'counted_since', 'statements_forgotten') }}
                with given as (
                    select * from jsonb_to_record({{ converge.literal(tojson(describe_run())) }}) as run (
                        invocation_id text, run_id text, command text, target text, started_by text, dag_id text, dag_run_id text,
                        task_id text, try_number integer, selection text, is_full_refresh boolean, code_version text,
                        dbt_version text, started_at timestamptz, ended_at timestamptz
                    )
                ),
                run as (
                    insert into raw_operations.dbt_runs (
                        invocation_id, run_id, command, target, started_by, dag_id, dag_run_id, task_id, try_number, selection,
                        is_full_refresh, code_version, dbt_version, position, started_at, ended_at
                    )
                    select
                        invocation_id, run_id, command, target, started_by, dag_id, dag_run_id, task_id, try_number, selection,
                        is_full_refresh, code_version, dbt_version,
                        (select bound from {{ converge.state_table('runs') }} as runs where runs.run_id = given.run_id),
                        started_at, ended_at
                    from given
                    returning *
                ),
                {%- if published %}
                publications as (
                    insert into raw_operations.publications (
                        invocation_id, target, group_name, noted_at, position, run_id, code_version, published_at, held_back_at
                    )
                    select
                        run.invocation_id, run.target, published.group_name, run.ended_at, published.bound, published.run_id,
                        published.code_version, published.published_at, published.held_back_at
                    from run cross join {{ published }} as published
                ),
                {%- endif %}
                results as (
                    select * from jsonb_to_recordset({{ converge.literal(tojson(describe_results(results))) }}) as result (
                        unique_id text, resource_type text, name text, schema_name text, relation_name text, materialized text,
                        tested_id text, group_name text, publish_group text, status text, message text, started_at timestamptz,
                        finished_at timestamptz, seconds double precision, rows_affected bigint, failures bigint, thread text
                    )
                )
                insert into raw_operations.node_results (
                    invocation_id, unique_id, run_id, command, target, code_version, position, run_started_at, resource_type,
                    name, schema_name, relation_name, materialized, tested_id, group_name, publish_group, status, message,
                    started_at, finished_at, seconds, rows_affected, failures, thread, bytes, counted_since, statements_forgotten,
                    counted_buffers
                )
                select
                    run.invocation_id, results.unique_id, run.run_id, run.command, run.target, run.code_version, run.position,
                    run.started_at, results.resource_type, results.name, results.schema_name, results.relation_name,
                    results.materialized, results.tested_id, results.group_name, results.publish_group, results.status,
                    results.message, results.started_at, results.finished_at, results.seconds, results.rows_affected,
                    results.failures, results.thread,
                    case
                        when results.resource_type in ('model', 'seed', 'snapshot') and results.materialized != 'view'
                            then pg_total_relation_size(to_regclass(format('%I.%I', results.schema_name, results.relation_name)))
                    end,
                    counted_since, statements_forgotten, cast(counted ->> results.unique_id as bigint)
                from run cross join results;
            exception when others or query_canceled then
                -- Only what names things: an error about data could quote a value.
                perform set_config('storehouse.landed_run', sqlstate || case when sqlstate ~ '^(42|55)' then ', ' || sqlerrm else '' end, true);
            end
            {{ own }};
            select current_setting('storehouse.landed_run', true)
        {%- endcall -%}
        {%- set wrong = load_result('landed_run').table.rows[0][0] -%}
        {%- do adapter.commit() -%}
        {%- if wrong -%}
            {%- do print("What this run did was not landed in raw_operations (" ~ wrong ~ "). The run itself is not affected: docs/runbook.md#what-a-run-did-was-not-landed") -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
