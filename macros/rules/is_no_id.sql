{% macro is_no_id(expression) -%}
    {{ return(adapter.dispatch('is_no_id')(expression)) }}
{%- endmacro %}

{% macro postgres__is_no_id(expression) -%}
    {#-
        Two ids of 200 characters, 4 bytes each, and their prefix go into one entry of an index (2,704 bytes). What is not
        printable is told by its code points: what a class matches depends on the server's locale.
    -#}
    (length({{ expression }}) > 200 or {{ expression }} ~ e'[\\u0001-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\uffff]')
{%- endmacro %}
