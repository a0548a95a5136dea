{% macro is_touched() -%}
true /*@is_touched {{ varargs | join(', ') }}@*/
{%- endmacro %}
