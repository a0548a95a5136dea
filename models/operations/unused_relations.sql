{#
    Grain: one row per table and view in the project's schemas that no node of it makes any more.
    A view: it compares what the project made at its last build with what stands.
#}
{{ config(materialized='view') }}

with made as (

    {{ made_relations() | indent }}

),

standing as (

    {{ standing_relations() | indent }}

)

select
    standing.schema_name,
    standing.relation_name,
    standing.kind,
    standing.bytes,
    standing.estimated_rows
from standing
left join made
    on
        standing.schema_name = made.schema_name
        and standing.relation_name = made.relation_name
where
    standing.schema_name in (select schemas.schema_name from made as schemas)
    and made.relation_name is null
