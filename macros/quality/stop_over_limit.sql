{% macro stop_over_limit(source, table, limit) -%}
    {#-
        Runs after the rows of the table's staging model are committed. When a pipeline run's loads of a table, not passed
        yet, brought more refused records than the table's limit allows, the model fails with words, and what stands
        on it is not built. What was corrected or waived since does not count. `quality_limits` raises a limit for one run.
        The words name `refused_records`, which this model has read: in a first run no view stands on staging yet.
    -#}
    {#- Named before anything is asked, so that dbt knows them while it parses. -#}
    {%- set judged, refused, ledger = ref('int_loads__judged'), ref('refused_records'), ref('stg_ledger__loads') -%}
    {%- set waivers = ref('quarantine_waivers') -%}
    {%- if execute and target.name not in var('converge_mirrors', {}) -%}
        {%- set passed = converge.state_table('passed_loads') -%}
        {%- set label = source ~ '.' ~ table -%}
        {%- set limit_percent = var('quality_limits').get(label, 'cast(' ~ limit.limit_percent ~ ' as numeric(5, 2))') -%}
        {%- set seen = run_query("
            select coalesce(max(loads.position), 0) from " ~ ledger ~ " as loads
            where loads.load_id in (select load_id from " ~ passed ~ " where label = '" ~ label ~ "')
        ").rows[0][0] -%}
        {%- set loads -%}
            select
                judged.load_id,
                judged.judged_rows,
                loads.position,
                coalesce(loads.run_id, 'load ' || loads.load_id) as run_id
            from {{ judged }} as judged
            inner join {{ ledger }} as loads on judged.load_id = loads.load_id
            where
                judged.source = '{{ source }}'
                and judged.table_name = '{{ table }}'
                and loads.position > {{ seen }}
        {%- endset -%}
        {%- set found -%}
            with loads as ({{ loads }}),

            pending as (
                select loads.run_id, refused.errors, 'load ' || refused._load_id || ', row ' || refused._row as place
                from {{ refused }} as refused
                inner join loads on refused._load_id = loads.load_id
                where
                    {{ accepted_later(source, table, this) }} is null
                    and refused._load_id not in (select load_id from ({{ landed_again(ledger) }}) as again)
                    and refused.record_id not in (
                        select waivers.record_id from {{ waivers }} as waivers
                        where waivers.until >= (select {{ utc_date('max(finished_at)') }} from {{ ledger }})
                    )
            ),

            shares as (
                select
                    run_id,
                    min(load_id) as first_load_id,
                    sum(judged_rows) as landed_rows,
                    (select count(*) from pending where pending.run_id = loads.run_id) as refused_rows
                from loads
                group by run_id
            ),

            worst as (
                select
                    shares.*,
                    round(100.0 * refused_rows / landed_rows, 1) as percent,
                    {{ limit_percent }} as limit_percent
                from shares
                where
                    refused_rows >= {{ limit.least_refused }}
                    and 100 * refused_rows > {{ limit_percent }} * landed_rows
                order by percent desc, run_id
                limit 1
            ),

            reasons as (
                select reason, count(*) as times, min(place) as example
                from pending cross join {{ elements('errors') }} as reason
                where run_id in (select worst.run_id from worst)
                group by reason
                order by times desc, reason
                limit 3
            )

            select
                worst.*,
                (select string_agg(times || ' of ' || reason || ' (' || example || ')', '; ' order by times desc, reason) from reasons) as reasons
            from worst
        {%- endset -%}
        {%- for share in run_query(found).rows -%}
            {{ exceptions.raise_compiler_error(
                "Too many refused records: " ~ label ~ ": " ~ share.percent ~ " % of what " ~ share.run_id ~ " landed was refused (" ~ share.refused_rows ~ " of " ~ share.landed_rows
                ~ "), the limit is " ~ share.limit_percent ~ " %: " ~ limit.reason ~ ". Most: " ~ share.reasons
                ~ " Nothing below staging is built from it, the marts stay as they were. Have the source correct the records and run again; "
                ~ "or waive them in seeds/quarantine_waivers.csv; or let this run pass: --vars '{quality_limits: {" ~ label ~ ": "
                ~ (share.percent | float + 1) | int ~ "}}'. See them: select record_id, errors, record from " ~ refused.include(database=false) | replace('"', '')
                ~ " where source = '" ~ source ~ "' and table_name = '" ~ table ~ "' and _load_id >= " ~ share.first_load_id
            ) }}
        {%- endfor -%}
        insert into {{ passed }} (label, load_id)
        select '{{ label }}', load_id from ({{ loads }}) as loads order by position desc limit 1
        on conflict (label) do update set load_id = excluded.load_id
    {%- endif -%}
{%- endmacro %}
