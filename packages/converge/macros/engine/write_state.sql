{% macro write_state(target, state, version, created) -%}
    {#- How far each input is consumed, keyed by the table's own oid: it lives and dies with the table. -#}
    {%- set table = converge.state_schema() ~ '.inputs' -%}
    {%- set oid = "'" ~ target.include(database=false) ~ "'::regclass::oid" -%}
    {% if created -%}
    delete from {{ table }} where relation = {{ oid }};
    {%- endif %}
    insert into {{ table }} (relation, input, input_oid, bound) values
    {%- for row in state %}
    ({{ oid }}, '{{ row.input }}', {{ row.input_oid }}, {{ version if row.kind == 'self' else row.bound }}){{ ',' if not loop.last }}
    {%- endfor %}
    on conflict (relation, input) do update set input_oid = excluded.input_oid, bound = excluded.bound;
{%- endmacro %}
