{% macro is_touched() -%}
true /*@is_touched {{ varargs | length }} {{ varargs | join(', ') }}@*/
{%- endmacro %}
