{% macro publish_rows(id, relation) -%}
    {#-
        Makes a published table what the built one is: of the keys that changed since, or of all where the log does not tell,
        the rows that differ are deleted, then inserted. Returns how many of each.
    -#}
    {%- set entry = converge.publications().nodes[id] -%}
    {%- set changed = converge.beside(entry.published, 'changed') -%}
    {%- set is_told = relation.seen is not none and relation.seen_oid == relation.built_oid
        and run_query('select 1 from ' ~ relation.log ~ ' where _version = ' ~ (relation.seen + 1) ~ ' limit 1').rows | length > 0 -%}
    {%- call statement('converge_gone', fetch_result=true) -%}
        {% if is_told -%}
        create temporary table {{ changed }} on commit drop as
        select distinct {{ entry.key | join(', ') }} from {{ relation.log }} where _version > {{ relation.seen }};
        analyze {{ changed }};
        {%- endif %}
        with gone as (
            delete from {{ relation.shown }} as old
            {% if is_told %}using {{ changed }} as changed{% endif %}
            where
                not exists (
                    select 1 from {{ relation.built }} as new
                    where {{ converge.each(entry.key, 'old.{} = new.{}', ' and ') }} and {{ converge.same_bytes(relation.columns.split(', ')) }}
                )
                {% if is_told -%}
                and {{ converge.each(entry.key, 'old.{} = changed.{}', ' and ') }}
                {%- endif %}
            returning 1
        )

        select count(*) as gone from gone
    {%- endcall -%}
    {%- call statement('converge_written', fetch_result=true) -%}
        with written as (
            insert into {{ relation.shown }} ({{ relation.columns }})
            select {{ converge.each(relation.columns.split(', '), 'new.{}', ', ') }} from {{ relation.built }} as new
            {% if is_told -%}
            inner join {{ changed }} as changed on {{ converge.each(entry.key, 'new.{} = changed.{}', ' and ') }}
            {%- endif %}
            where not exists (select 1 from {{ relation.shown }} as old where {{ converge.each(entry.key, 'old.{} = new.{}', ' and ') }})
            returning 1
        )

        select count(*) as written from written
    {%- endcall -%}
    {{ return([load_result('converge_written').table.rows[0].written | int, load_result('converge_gone').table.rows[0].gone | int]) }}
{%- endmacro %}
