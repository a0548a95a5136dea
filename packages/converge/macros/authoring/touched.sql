{% macro touched() -%}
/*@touched {{ varargs | join(', ') }}:{{ caller() }}@touched*/
{%- endmacro %}
