{% macro has_grants(relation, grants) -%}
    {#- True when a published relation has what dbt's config grants, or dbt's config grants nothing: then grants are not dbt's. -#}
    {%- set wanted, there = [], [] -%}
    {%- for privilege, grantees in (grants or {}).items() -%}
        {%- for grantee in converge.as_list(grantees) -%}{%- do wanted.append((privilege ~ ' ' ~ grantee) | lower) -%}{%- endfor -%}
    {%- endfor -%}
    {%- for one in relation.grants -%}{%- do there.append(one | lower) -%}{%- endfor -%}
    {{ return(not grants or wanted | unique | sort == there | sort) }}
{%- endmacro %}
