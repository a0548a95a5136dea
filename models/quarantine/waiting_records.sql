{#
    Grain: one row per accepted record that the marts leave out until its order is accepted: a line or payment of a web order that
    is not accepted, because it has not landed, was refused or was deleted. Orders of the other sources land with their lines and payments.
#}
{{ config(unique_key='record_id', incremental_strategy='replace_keys', indexes=[{'columns': ['order_id']}]) }}

{% call converge.touched('order_id') %}
    select order_id from {{ converge.changes(ref('stg_shop__orders')) }}
    union all
    select order_id from {{ converge.changes(ref('stg_shop__order_items')) }}
    union all
    select order_id from {{ converge.changes(ref('stg_shop__payments')) }}
{% endcall %}

with orders as (

    select order_id from {{ converge.touched_rows(ref('stg_shop__orders'), 'order_id') }} as touched
    where not _is_deleted

),

-- For another table whose rows need a parent, add a select here.
children as (

    select
        'order_items' as table_name,
        cast(line_number as varchar) as number_in_order,
        cast(null as varchar) as source_payment_id,
        order_id,
        created_at,
        _version_at as changed_at,
        _load_id
    from {{ converge.touched_rows(ref('stg_shop__order_items'), 'order_id') }} as touched
    where not _is_deleted
    union all
    select
        'payments' as table_name,
        null as number_in_order,
        source_payment_id,
        order_id,
        coalesce(created_at, paid_at) as created_at,
        _version_at as changed_at,
        _load_id
    from {{ converge.touched_rows(ref('stg_shop__payments'), 'order_id') }} as touched
    where not _is_deleted

)

select
    'shop.' || children.table_name || '/'
    || coalesce(children.source_payment_id, substr(children.order_id, 5) || '/' || children.number_in_order) as record_id,
    'shop' as source,
    cast(children.table_name as varchar) as table_name,
    children.order_id,
    -- A time outside of the calendar cannot be used to count days.
    coalesce(case when not {{ is_no_date('children.created_at') }} then children.created_at end, children.changed_at) as waiting_since,
    children.changed_at,
    children._load_id
from children
left join orders
    on children.order_id = orders.order_id
where orders.order_id is null
