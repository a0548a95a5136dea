{% macro relation_states(ids) -%}
    {#-
        By id: what each relation holds now, as a text that is another one after every change (`state`; none where there is no
        such relation), and what `tested` says about it. Of a table the state is its oid and version, of a view its definition;
        see `state_of`. Names stay in full to the end of the transaction.
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {%- call statement('converge_states', fetch_result=true) -%}
        {{ converge.name_in_full(true) }}
        select
            asked.id,
            coalesce(
                (select relation || '/' || bound from {{ converge.state_table('inputs') }} where relation = asked.oid and input = '(self)'),
                (select 'view ' || md5(pg_get_viewdef(oid)) from pg_class where oid = asked.oid and relkind = 'v')
            ) as state,
            tested.state as tested,
            tested.waits_for,
            tested.run_id,
            tested.code_version,
            tested.tested_at
        from (values
            {%- for id in ids %}
            ({{ converge.literal(id) }}, to_regclass({{ converge.literal(nodes[id].relation) }})::oid, {{ converge.literal(nodes[id].place) }})
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as asked (id, oid, place)
        left join {{ converge.state_table('tested') }} as tested on asked.place = tested.relation
    {%- endcall -%}
    {%- set states = {} -%}
    {%- for row in load_result('converge_states').table.rows -%}{%- do states.update({row.id: row}) -%}{%- endfor -%}
    {{ return(states) }}
{%- endmacro %}
