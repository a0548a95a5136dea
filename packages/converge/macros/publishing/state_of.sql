{% macro state_of(id, states, tables={}) -%}
    {#- The state of a relation; of a view, with those of the tables that it shows: as they are in `tables`, or else now. -#}
    {%- set judged = converge.publications().judged[id] -%}
    {%- if not judged.is_view or not states[id].state -%}
        {{ return(tables.get(id, states[id].state)) }}
    {%- endif -%}
    {%- set parts = [states[id].state] -%}
    {%- for base in judged.bases -%}{%- do parts.append(tables.get(base, states[base].state) | string) -%}{%- endfor -%}
    {{ return('view ' ~ local_md5(parts | join(' '))) }}
{%- endmacro %}
