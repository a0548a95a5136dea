{% macro publish_rows(id, relation, compares, history) -%}
    {#-
        Makes a published table what the built one is: of the keys that changed since, or of all where the log does not tell
        (or `compares`), the rows that differ are deleted, then inserted. Returns how many were written and deleted.
        The table's undo log gets what `move_publication` needs to take this back: for each key, under the number of the
        publication, the row as it was (`_is_row`), or the key alone if there was none. What is only mended, because nothing was
        built since, is not kept: nobody wants that back.
    -#}
    {%- set columns, key = relation.columns, relation.key -%}
    {%- set is_told = relation.is_told and not compares -%}
    {%- set keeps = converge.undo_days() > 0 and history.is_whole and not relation.is_current -%}
    {%- do converge.stop_if([(keeps and columns | select('in', ['_publication', '_is_row']) | list,
        "The undo log of " ~ relation.shown ~ " has columns _publication and _is_row of its own: give the model's other names, or set converge_undo_days to 0.")]) -%}
    {%- set changed = adapter.quote(converge.short_name(relation.place ~ '__changed')) -%}
    {%- set undo = converge.undo_log(converge.publications().nodes[id].published) -%}
    {%- call statement('converge_written', fetch_result=true) -%}
        {% if keeps and not relation.has_undo -%}
        create table {{ undo }} as select 0::bigint as _publication, true as _is_row, * from {{ relation.shown }} limit 0;
        alter table {{ undo }} add primary key (_publication, {{ key | join(', ') }});
        {%- endif %}
        {% if is_told -%}
        create temporary table {{ changed }} on commit drop as
        select distinct {{ key | join(', ') }} from {{ converge.publications().nodes[id].log }} where _version > {{ relation.seen }};
        analyze {{ changed }};
        {%- endif %}
        with gone as (
            delete from {{ relation.shown }} as old
            {% if is_told %}using {{ changed }} as changed{% endif %}
            where
                not exists (
                    select 1 from {{ relation.built }} as new
                    where {{ converge.each(key, 'old.{} = new.{}', ' and ') }} and {{ converge.same_bytes(columns) }}
                )
                {% if is_told -%}
                and {{ converge.each(key, 'old.{} = changed.{}', ' and ') }}
                {%- endif %}
            returning old.*
        )
        {%- if keeps %},

        kept as (
            insert into {{ undo }} (_publication, _is_row, {{ columns | join(', ') }})
            select {{ history.next }}, true, {{ columns | join(', ') }} from gone
        )
        {%- endif %}

        select set_config('converge.gone', count(*)::text, true) from gone;
        with written as (
            insert into {{ relation.shown }} ({{ columns | join(', ') }})
            select {{ converge.each(columns, 'new.{}', ', ') }} from {{ relation.built }} as new
            {% if is_told -%}
            inner join {{ changed }} as changed on {{ converge.each(key, 'new.{} = changed.{}', ' and ') }}
            {%- endif %}
            where not exists (select 1 from {{ relation.shown }} as old where {{ converge.each(key, 'old.{} = new.{}', ' and ') }})
            returning {{ key | join(', ') }}
        )
        {%- if keeps %},

        kept as (
            insert into {{ undo }} (_publication, _is_row, {{ key | join(', ') }})
            select {{ history.next }}, false, {{ key | join(', ') }} from written
            on conflict do nothing
        )
        {%- endif %}

        select count(*) as written, current_setting('converge.gone') as gone from written
    {%- endcall -%}
    {%- set counts = load_result('converge_written').table.rows[0] -%}
    {{ return([counts.written | int, counts.gone | int]) }}
{%- endmacro %}
