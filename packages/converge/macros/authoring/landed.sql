{% macro landed(relation, load_id='_load_id') -%}
(select * from {{ relation }} /*@landed {{ relation }} by {{ load_id }}@*/)
{%- endmacro %}
