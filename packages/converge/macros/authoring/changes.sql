{% macro changes(relation) -%}
(select * from {{ converge.changes_relation(relation) }} where @changes {{ converge.input_name(relation) }}@)
{%- endmacro %}
