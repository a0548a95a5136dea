{% macro note_built(target) -%}
    {#- Notes the state in which this run leaves a table, while the table's lock is held: its tests will be about that. -#}
    {%- set publications = converge.publications() -%}
    {%- if model.unique_id in publications.judged -%}
        {%- set state = run_query(
            "select relation || '/' || bound as state from " ~ converge.state_table('inputs')
            ~ " where relation = to_regclass(" ~ converge.literal(target.include(database=false)) ~ ") and input = '(self)'"
        ).rows[0].state -%}
        {%- do publications.built.update({model.unique_id: state}) -%}
    {%- endif -%}
{%- endmacro %}
