{% macro undo_log(published) -%}
    {#- Where the rows stand that publications replaced in this table: see `publish_rows`. -#}
    {{ return(converge.changes_relation(published, 'undo__')) }}
{%- endmacro %}
