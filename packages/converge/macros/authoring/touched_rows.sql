{% macro touched_rows(relation) -%}
(/*@touched_rows {{ varargs | length }}*/ select * from {{ relation }} where {{ converge.is_touched(*varargs) }})
{%- endmacro %}
