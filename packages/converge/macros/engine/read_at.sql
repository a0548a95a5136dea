{% macro read_at(parent, sql) -%}
    {#-
        Where the SQL reads a parent, as a relation and as it is written there: the parent's own relation, or the one that
        --defer gives. None when it reads neither. The name may be written with or without quotes and database.
    -#}
    {%- set re = modules.re -%}
    {%- set ns = namespace(found=none) -%}
    {%- for place in [parent.get('defer_relation'), parent] if place -%}
        {%- set relation = api.Relation.create(database=place.database, schema=place.schema, identifier=place.get('alias') or place.identifier) -%}
        {%- set parts = [] -%}
        {%- for part in [relation.database, relation.schema, relation.identifier] -%}
            {%- do parts.append('(?:"' ~ re.escape(part) ~ '"|' ~ re.escape(part) ~ ')') -%}
        {%- endfor -%}
        {%- set pattern = '(?<!@landed )(?<!@changes )(?<![A-Za-z0-9_."])(?:' ~ parts[0] ~ '[.])?' ~ parts[1] ~ '[.]' ~ parts[2] ~ '(?![A-Za-z0-9_$])' -%}
        {%- set found = re.search(pattern, sql) -%}
        {%- if found -%}
            {%- set ns.found = {'relation': relation, 'read_as': found.group(), 'pattern': pattern, 'is_deferred': not loop.last} -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ns.found) }}
{%- endmacro %}
