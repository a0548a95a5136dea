{% macro relation_states(ids, tables=none) -%}
    {#-
        What each relation holds now, as a text that is another one after every change: of a table its oid and version, of a
        view its definition with the states of the tables that it shows (those in `tables`, by default as they are now).
        None for a relation that is not there.
    -#}
    {%- set publications = converge.publications() -%}
    {%- do converge.name_in_full(true) -%}
    {%- call statement('converge_states', fetch_result=true) -%}
        select
            asked.id,
            coalesce(
                (select relation || '/' || bound from {{ converge.state_table('inputs') }} where relation = asked.oid and input = '(self)'),
                (select 'view ' || md5(pg_get_viewdef(oid)) from pg_class where oid = asked.oid and relkind = 'v')
            ) as state
        from (values
            {%- for id in ids %}
            ({{ converge.literal(id) }}, to_regclass({{ converge.literal(publications.nodes[id].relation) }})::oid)
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as asked (id, oid)
    {%- endcall -%}
    {%- do converge.name_in_full(false) -%}
    {%- set states = {} -%}
    {%- for row in load_result('converge_states').table.rows -%}{%- do states.update({row.id: row.state}) -%}{%- endfor -%}
    {%- set shown = states.copy() if tables is none else tables -%}
    {%- for id in ids if states[id] and publications.judged[id].is_view -%}
        {%- set parts = [states[id]] -%}
        {%- for base in publications.judged[id].bases -%}{%- do parts.append(shown.get(base) | string) -%}{%- endfor -%}
        {%- do states.update({id: 'view ' ~ local_md5(parts | join(' '))}) -%}
    {%- endfor -%}
    {{ return(states) }}
{%- endmacro %}
