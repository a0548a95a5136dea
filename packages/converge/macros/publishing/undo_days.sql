{% macro undo_days() -%}
    {#- For how many days a publication can be taken back; 0 keeps nothing. -#}
    {{ return(var('converge_undo_days', 0) | float) }}
{%- endmacro %}
