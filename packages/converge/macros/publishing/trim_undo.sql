{% macro trim_undo() -%}
    {#-
        Forgets publications that were followed by another for longer than `converge_undo_days`, with the rows that they
        replaced, and the undo logs of tables that are published no more. Nothing is forgotten while a group is taken back.
        The log of the oldest publication that is kept leads to one that is not.
    -#}
    {%- set publications = converge.publications() -%}
    {%- set published, kept = converge.state_table('published'), converge.state_table('publications') -%}
    {%- set logs, names = [], [] -%}
    {%- for group in publications.groups.values() if converge.undo_days() -%}
        {%- for id in group.published if id not in group.views -%}
            {%- set log = converge.undo_log(publications.nodes[id].published) -%}
            {%- do names.append(converge.literal(log.identifier)) -%}
            {%- do logs.append('(' ~ converge.literal(log) ~ ', ' ~ converge.literal(group.name) ~ ')') -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- call statement() -%}
        do $converge$
        declare
            log text;
            oldest bigint;
        begin
            -- Nobody is to be taken back meanwhile to what is forgotten here.
            lock table {{ published }} in share row exclusive mode;
            if exists (select 1 from {{ published }} where taken_back_at is not null) then
                return;
            end if;
            delete from {{ kept }} as old
            where
                group_name not in (select group_name from {{ published }})
                or exists (
                    select 1 from {{ kept }} as next
                    where next.group_name = old.group_name and next.publication > old.publication
                        and next.published_at < now() - {{ converge.undo_days() }} * interval '1 day'
                );
            {{ converge.drop_undo_logs(names) }}
            {%- if logs %}
            for log, oldest in
                select name, min(publication)
                from (values {{ logs | join(', ') }}) as logs (name, group_name)
                inner join {{ kept }} using (group_name)
                where to_regclass(name) is not null
                group by name
            loop
                execute format('delete from %s where _publication <= $1', log) using oldest;
            end loop;
            {%- endif %}
        end
        $converge$
    {%- endcall -%}
{%- endmacro %}
