{% macro name_in_full(is_on) -%}
    {#-
        Between `true` and `false` PostgreSQL writes every name with its schema, so that a view's definition reads the same
        whoever asks, and means the same wherever it is run. Keys are compared outside: their operators may be anywhere.
    -#}
    {%- call statement() -%}
        {% if is_on -%}
        select set_config('converge.search_path', current_setting('search_path'), true), set_config('search_path', '', true)
        {%- else -%}
        select set_config('search_path', current_setting('converge.search_path'), true)
        {%- endif %}
    {%- endcall -%}
{%- endmacro %}
