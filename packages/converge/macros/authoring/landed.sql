{% macro landed(relation, load_id='_load_id') -%}
(select * from {{ relation }} /*@landed {{ converge.input_name(relation) }} by {{ load_id }}@*/)
{%- endmacro %}
