{% macro published_shape(relations) -%}
    {#- What a group's published relations are, rows aside, as a hash: which, and their columns, indexes, checks and definitions. -#}
    {%- set parts = [] -%}
    {%- for id, relation in relations.items() -%}
        {%- do parts.append([id, relation.shown_oid | string, relation.shown_shape, relation.shown_definition]) -%}
    {%- endfor -%}
    {{ return(local_md5(tojson(parts | sort))) }}
{%- endmacro %}
