{% macro published_definition(definition, relations) -%}
    {#-
        A view's definition with the published relations in the place of the built ones. It comes from PostgreSQL
        (`pg_get_viewdef`, every name in full), so it holds no comments and a relation's name stands in it in one spelling:
        that name is replaced, unless it is part of a literal, of a quoted name or of a longer one. `check_view` then
        asks PostgreSQL what the new view stands on.
    -#}
    {%- set re = modules.re -%}
    {%- set shown, patterns = {}, [] -%}
    {%- for relation in relations.values() -%}
        {%- do shown.update({relation.built: relation.shown}) -%}
        {%- do patterns.append(re.escape(relation.built)) -%}
    {%- endfor -%}
    {%- set names = '(?<![\\w.$"])(?:' ~ patterns | join('|') ~ ')(?![\\w.$"(])' -%}
    {%- set quoted = "'(?:[^']|'')*'" ~ '|"(?:[^"]|"")*"' -%}
    {%- set parts = [] -%}
    {%- for part in re.split('(' ~ names ~ '|' ~ quoted ~ ')', definition) -%}
        {%- do parts.append(shown.get(part, part)) -%}
    {%- endfor -%}
    {{ return(parts | join('')) }}
{%- endmacro %}
