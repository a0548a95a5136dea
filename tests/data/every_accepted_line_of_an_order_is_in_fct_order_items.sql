{{ config(tags=['audit']) }}
-- Fails with each accepted line that `fct_order_items` has not although its order is there, or that only it has.
with lines as (

    select
        order_id,
        line_number
    from {{ ref('stg_shop__order_items') }}
    where not _is_deleted
    {% for channel, lines in channels('lines') %}
    union all
    select
        order_id,
        line_number
    from {{ ref(lines) }}
    where _is_deleted is not true
    {% endfor %}
    union all
    select
        order_id,
        line_number
    from {{ ref('stg_stores__sales') }}
    where not _is_deleted

),

accepted as (

    select
        lines.order_id,
        lines.line_number
    from lines
    inner join {{ ref('fct_orders') }} as orders
        on lines.order_id = orders.order_id

)

select
    coalesce(accepted.order_id, items.order_id) as order_id,
    coalesce(accepted.line_number, items.line_number) as line_number,
    accepted.order_id is not null as is_accepted,
    items.order_id is not null as is_shown
from accepted
full outer join {{ ref('fct_order_items') }} as items
    on
        accepted.order_id = items.order_id
        and accepted.line_number = items.line_number
where
    accepted.order_id is null
    or items.order_id is null
