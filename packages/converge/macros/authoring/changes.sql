{% macro changes(relation) -%}
(select * from {{ converge.changes_relation(relation) }} where @changes {{ relation }}@)
{%- endmacro %}
