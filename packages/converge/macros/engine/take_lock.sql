{% macro take_lock(name, what) -%}
    {#-
        Takes the advisory lock of this name, to the end of the transaction. If it must wait, it prints who holds the lock.
        After the session's lock_timeout it fails, and the error names the holder too. Any role may hold the lock.
    -#}
    {%- set key = "hashtextextended(" ~ converge.literal(name) ~ ", 0)" -%}
    {%- set holders -%}
        select coalesce(string_agg(
            case
                when pid is null then 'a prepared transaction (pg_prepared_xacts)'
                else format(
                    'pid %s (role %s, application %s%s)', pid, usename, coalesce(nullif(application_name, ''), 'unknown'),
                    ', in a transaction since ' || to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')
                )
            end,
            ' and '
        ), 'a session that has ended since')
        from pg_locks left join pg_stat_activity using (pid)
        where locktype = 'advisory' and granted and objsubid = 1
            and database = (select oid from pg_database where datname = current_database())
            and (classid::bigint << 32) | objid::bigint = {{ key }}
    {%- endset -%}
    {%- call statement('converge_lock', fetch_result=true) -%}
        select case when not pg_try_advisory_xact_lock({{ key }}) then ({{ holders }}) end
    {%- endcall -%}
    {%- set holder = load_result('converge_lock').table.rows[0][0] -%}
    {%- if holder -%}
        {%- do print('waiting for the lock of ' ~ what ~ ', held by ' ~ holder) -%}
        {%- call statement() -%}
            do $take_lock$
            begin
                perform pg_advisory_xact_lock({{ key }});
            exception when lock_not_available then
                raise exception using
                    errcode = 'lock_not_available',
                    message = format(
                        'canceling statement due to lock timeout: the lock of %s was not free within %s (lock_timeout). It is held by %s',
                        {{ converge.literal(what) }}, current_setting('lock_timeout'), ({{ holders }})
                    ),
                    hint = 'Let that end, or end it with pg_terminate_backend; then run this again.';
            end
            $take_lock$
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
