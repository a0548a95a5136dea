{% macro check_masking() -%}
    {#-
        Stops a run before it writes: a public model's column that is tagged personal, or has the name of one that is tagged
        above it, is masked or says why not.
    -#}
    {%- if execute and flags.WHICH in ('run', 'build', 'retry') -%}
        {%- set wrong = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.access == 'public' -%}
            {%- set above = tagged_above(node) -%}
            {%- for column in node.columns.values() -%}
                {%- set kind = column.meta.get('pii') or above.get(column.name) -%}
                {%- if kind and not (column.meta.get('pii') and (column.meta.get('masked') or column.meta.get('published'))) -%}
                    {%- do wrong.append(node.name ~ '.' ~ column.name ~ ' (' ~ kind ~ ')') -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if wrong -%}
            {{ exceptions.raise_compiler_error(
                "Personal data would be readable in public models: " ~ wrong | join(', ') ~ ". "
                "Show mask(…) of it and tag the column `meta: {pii: …, masked: true}`, or leave it out. docs/privacy.md says more."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
