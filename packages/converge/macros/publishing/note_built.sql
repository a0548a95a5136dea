{% macro note_built(state) -%}
    {#- Notes the state in which this run leaves a table, while the table's lock is held: its tests will be about that. -#}
    {%- set publications = converge.publications() -%}
    {%- if model.unique_id in publications.judged -%}
        {%- set written = load_result('converge_state_written') -%}
        {%- set own = state | selectattr('kind', 'equalto', 'self') | first -%}
        {%- do publications.built.update({
            model.unique_id: written.table.rows[0].state if written else (own.target_oid | int) ~ '/' ~ (own.seen | int),
        }) -%}
    {%- endif -%}
{%- endmacro %}
