{% macro personal_values(condition='true') -%}
    {%- for name in ['stg_shop__customer_versions', 'stg_marketplace__buyers'] %}
    {%- set tagged = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.name == name -%}
        {%- for column in node.columns.values() if column.meta.get('pii') -%}
            {%- do tagged.append(column.name) -%}
        {%- endfor -%}
    {%- endfor %}
    {%- if execute and not tagged -%}
        {{ exceptions.raise_compiler_error("No column of " ~ name ~ " is tagged personal (`meta: {pii: …}`), so no test would look for one.") }}
    {%- endif %}
    select
        staged.customer_id,
        personal.value
    from {{ ref(name) }} as staged
    cross join {{ row_values('staged') }} as personal
    where
        personal.key in ('{{ tagged | join("', '") }}')
        -- A one-word name such as Paris would match a city that is rightly shown.
        and (personal.value like '% %' or personal.value like '%@%')
        and ({{ condition }})
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
