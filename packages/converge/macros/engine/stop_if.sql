{% macro stop_if(reasons) -%}
    {#- Each reason is a pair: whether it holds, and the message. The first that holds stops the model with its message. -#}
    {%- for holds, message in reasons if holds -%}
        {{ exceptions.raise_compiler_error(message) }}
    {%- endfor -%}
{%- endmacro %}
