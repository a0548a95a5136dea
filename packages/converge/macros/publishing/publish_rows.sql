{% macro publish_rows(id, relation) -%}
    {#-
        Makes a published table what the built one is: of the keys that changed since, or of all where the log does not tell,
        the rows that differ are deleted, then inserted. Returns how many of each.
    -#}
    {%- set entry = converge.publications().nodes[id] -%}
    {%- set columns = relation.columns.split('\n') -%}
    {%- set changed = adapter.quote(converge.short_name(relation.place ~ '__changed')) -%}
    {%- call statement('converge_written', fetch_result=true) -%}
        {% if relation.is_told -%}
        create temporary table {{ changed }} on commit drop as
        select distinct {{ entry.key | join(', ') }} from {{ entry.log }} where _version > {{ relation.seen }};
        analyze {{ changed }};
        {%- endif %}
        with gone as (
            delete from {{ relation.shown }} as old
            {% if relation.is_told %}using {{ changed }} as changed{% endif %}
            where
                not exists (
                    select 1 from {{ relation.built }} as new
                    where {{ converge.each(entry.key, 'old.{} = new.{}', ' and ') }} and {{ converge.same_bytes(columns) }}
                )
                {% if relation.is_told -%}
                and {{ converge.each(entry.key, 'old.{} = changed.{}', ' and ') }}
                {%- endif %}
            returning 1
        )

        select set_config('converge.gone', count(*)::text, true) from gone;
        with written as (
            insert into {{ relation.shown }} ({{ columns | join(', ') }})
            select {{ converge.each(columns, 'new.{}', ', ') }} from {{ relation.built }} as new
            {% if relation.is_told -%}
            inner join {{ changed }} as changed on {{ converge.each(entry.key, 'new.{} = changed.{}', ' and ') }}
            {%- endif %}
            where not exists (select 1 from {{ relation.shown }} as old where {{ converge.each(entry.key, 'old.{} = new.{}', ' and ') }})
            returning 1
        )

        select count(*) as written, current_setting('converge.gone') as gone from written
    {%- endcall -%}
    {%- set counts = load_result('converge_written').table.rows[0] -%}
    {{ return([counts.written | int, counts.gone | int]) }}
{%- endmacro %}
