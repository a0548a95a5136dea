{% macro move_publication(group, history, to, relations, is_back=false) -%}
    {#-
        Takes the published tables of a group from the publication that stands to another, back or forward, in the
        transaction of who calls it. An undo log has, under a publication's number, the rows of the other side of it: going
        past it exchanges them with those that stand, so the same steps lead back and forward.
        While a group is taken back, how far its tables have followed is noted below zero: should anything publish them
        without going forward first, they are compared whole.
    -#}
    {%- set inputs, published, kept = converge.state_table('inputs'), converge.state_table('published'), converge.state_table('publications') -%}
    {%- set oids = ['0'] -%}
    {%- for id, relation in relations.items() if relation.shown_kind == 'r' -%}{%- do oids.append(relation.shown_oid | string) -%}{%- endfor -%}
    {%- call statement() -%}
        {{ converge.name_in_full(false) }}
        {%- if history.is_whole %}
        do $converge$
        declare
            passed bigint;
        begin
            for passed in
                select publication from {{ kept }}
                where group_name = {{ converge.literal(group.name) }} and publication > {{ [history.publication, to] | min }} and publication <= {{ [history.publication, to] | max }}
                order by publication {{ 'desc' if to < history.publication }}
            loop
                {%- for id, relation in relations.items() if relation.has_undo %}
                {%- set undo, columns, key = converge.undo_log(converge.publications().nodes[id].published), relation.columns, relation.key %}
                {%- set same_key = converge.each(key, 'standing.{} = kept.{}', ' and ') %}
                insert into {{ undo }} (_publication, _is_row, {{ columns | join(', ') }})
                select
                    -passed,
                    standing.{{ key[0] }} is not null
                    {%- for column in columns -%}
                    , {{ 'coalesce(standing.' ~ column ~ ', kept.' ~ column ~ ')' if column in key else 'standing.' ~ column }}
                    {%- endfor %}
                from {{ undo }} as kept
                left join {{ relation.shown }} as standing on {{ same_key }}
                where kept._publication = passed;

                delete from {{ relation.shown }} as standing using {{ undo }} as kept
                where kept._publication = passed and {{ same_key }};

                insert into {{ relation.shown }} ({{ columns | join(', ') }})
                select {{ columns | join(', ') }} from {{ undo }} where _publication = passed and _is_row;

                delete from {{ undo }} where _publication = passed;
                update {{ undo }} set _publication = passed where _publication = -passed;
                {%- endfor %}
            end loop;
        end
        $converge$;
        update {{ inputs }} set bound = {{ '-' if is_back }}abs(bound) where relation in ({{ oids | join(', ') }});
        {%- endif %}
        update {{ published }} as published set
            {% if history.is_whole -%}
            publication = kept.publication,
            bound = kept.bound,
            run_id = kept.run_id,
            code_version = kept.code_version,
            published_at = clock_timestamp(),
            {%- endif %}
            taken_back_at = {{ 'clock_timestamp()' if is_back else 'null' }},
            held_back = {{ converge.literal(converge.taken_back_words(to)) if is_back else 'null' }},
            held_back_at = {{ 'clock_timestamp()' if is_back else 'null' }}
        from {{ kept }} as kept
        where published.group_name = {{ converge.literal(group.name) }} and kept.publication = {{ to }}
    {%- endcall -%}
{%- endmacro %}
