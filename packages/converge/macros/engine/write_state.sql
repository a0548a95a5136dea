{% macro write_state(target, state, version) -%}
    {#-
        How far each input is read, by the table's oid: a table that was dropped and created again has no state.
        The table's own row has its version, and the oid of its log. The last statement gives both (see `note_built`).
    -#}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- set oid = "'" ~ target.include(database=false) ~ "'::regclass::oid" -%}
    delete from {{ inputs }} where relation = {{ oid }};
    insert into {{ inputs }} (relation, input, input_oid, bound) values
    {%- for row in state %}
    {%- if row.kind == 'self' %}
    ({{ oid }}, '(self)', '{{ converge.changes_relation(target) }}'::regclass::oid, {{ version }})
    {%- else %}
    ({{ oid }}, '{{ row.input }}', {{ row.input_oid }}, {{ row.bound }})
    {%- endif -%}
    {{ ',' if not loop.last }}
    {%- endfor %};
    select {{ oid }} || '/{{ version }}' as state;
{%- endmacro %}
