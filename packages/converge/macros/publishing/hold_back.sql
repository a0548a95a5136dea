{% macro hold_back(group, reason) -%}
    {#- Says why a group is not published, and since when, to whoever looks at the run and to whoever reads what was published before. -#}
    {%- call statement() -%}
        insert into {{ converge.state_table('published') }} as published (group_name, held_back, held_back_at)
        values ({{ converge.literal(group.name) }}, {{ converge.literal(reason) }}, clock_timestamp())
        on conflict (group_name) do update set held_back = excluded.held_back, held_back_at = coalesce(published.held_back_at, excluded.held_back_at)
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {%- do log('not published: ' ~ group.name ~ ', because ' ~ reason ~ '. Its readers keep what they have.', info=true) -%}
    {{ return(false) }}
{%- endmacro %}
