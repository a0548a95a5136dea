{% macro describe_run() -%}
    {#- What this invocation is: a dict with the columns of raw_operations.dbt_runs, times as text. -#}
    {%- set dag_id = env_var('AIRFLOW_CTX_DAG_ID', '') -%}
    {%- set selection = [] -%}
    {%- for option in ('select', 'exclude') if invocation_args_dict.get(option) -%}
        {%- do selection.append('--' ~ option ~ ' ' ~ invocation_args_dict[option] | join(' ')) -%}
    {%- endfor -%}
    {{ return({
        'invocation_id': invocation_id,
        'run_id': env_var('CONVERGE_RUN_ID', '') or invocation_id,
        'command': flags.WHICH,
        'target': target.name,
        'started_by': 'airflow' if dag_id else env_var('STOREHOUSE_STARTED_BY', '') or ('ci' if env_var('CI', '') else 'by hand'),
        'dag_id': dag_id or none,
        'dag_run_id': env_var('AIRFLOW_CTX_DAG_RUN_ID', '') or none,
        'task_id': env_var('AIRFLOW_CTX_TASK_ID', '') or none,
        'try_number': env_var('AIRFLOW_CTX_TRY_NUMBER', '') or none,
        'selection': selection | join(' ') or none,
        'is_full_refresh': flags.FULL_REFRESH | default(false, true),
        'code_version': converge.publications().code_version,
        'dbt_version': dbt_version,
        'started_at': run_started_at.isoformat(),
        'ended_at': modules.datetime.datetime.now(modules.pytz.utc).isoformat(),
    }) }}
{%- endmacro %}
