{% macro lock_model(name) -%}
    {#- Two runs of one model wait for each other, to the end of the transaction. -#}
    {%- do converge.take_lock('converge ' ~ name, 'the model ' ~ name) -%}
{%- endmacro %}
