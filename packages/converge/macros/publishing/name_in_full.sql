{% macro name_in_full(is_on) -%}
    {#-
        A statement. Between `true` and `false`, or the end of the transaction, PostgreSQL writes every name with its schema,
        so that a view's definition reads the same whoever asks, and means the same wherever it is run. Keys are compared
        outside: their operators may be anywhere.
    -#}
    {% if is_on -%}
    select
        set_config('converge.search_path', coalesce(nullif(current_setting('search_path'), ''), current_setting('converge.search_path', true)), true),
        set_config('search_path', '', true);
    {%- else -%}
    select set_config('search_path', current_setting('converge.search_path'), true);
    {%- endif %}
{%- endmacro %}
