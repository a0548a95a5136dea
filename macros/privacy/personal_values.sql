{% macro personal_values(condition='true') -%}
    {#- A blank or an @: a city is no name, though somebody may have it for one. -#}
    {%- for parent in [ref('stg_shop__customer_versions'), ref('stg_marketplace__buyers')] %}
    {%- set tagged = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.name == parent.identifier -%}
        {%- for column in node.columns.values() if column.meta.get('pii') -%}
            {%- do tagged.append(column.name) -%}
        {%- endfor -%}
    {%- endfor %}
    select
        staged.customer_id,
        personal.value
    from {{ parent }} as staged
    cross join {{ row_values('staged') }} as personal
    where personal.key in ('{{ tagged | join("', '") }}') and (personal.value like '% %' or personal.value like '%@%') and {{ condition }}
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
