{# Grain: one row per refused record and reason. A view: it only unnests the lists. #}
{{ config(materialized='view') }}

with reasons as (

    select
        refused.*,
        'error' as severity,
        reason
    from {{ ref('refused_records') }} as refused
    cross join {{ elements('refused.errors') }} as reason
    union all
    select
        refused.*,
        'warn' as severity,
        reason
    from {{ ref('refused_records') }} as refused
    cross join {{ elements('refused.warnings') }} as reason

)

select
    _load_id,
    _row,
    source,
    table_name,
    record_id,
    severity,
    {{ dbt.split_part('reason', "' ('", 1) }} as code,
    {{ dbt.split_part(dbt.split_part('reason', "' ('", 2), "'): '", 1) }} as error_type,
    {{ dbt.split_part('reason', "'): '", 2) }} as words
from reasons
