-- Grain: one row per order of a channel, recorded on the days [from_day, until_day), that changed in [previous, until).
-- An order's whole life is drawn from its number; what has not happened by `until` is null. Stages are materialized
-- so that each draw is made once.
create temporary table lives on commit drop as
with numbered as materialized (

    select
        days.{channel_first} + step.position as number,
        3 * (days.{channel_first} + step.position) + {channel_key} as key,
        days.day,
        days.index as day_index,
        days.products,
        days.first_customer,
        days.customers,
        step.position,
        days.{channel} as orders
    from demo.days
    cross join lateral generate_series(0, days.{channel} - 1) as step (position)
    where days.day >= {from_day} and days.day < {until_day}

),

paced as materialized (

    select
        numbered.*,
        (position + demo.chance(key, 'moment')) / orders as fraction,
        demo.chance(key, 'fate') as fate_draw,
        {channel_key} = 0 and demo.chance(key, 'reviewed') < 0.1 as is_reviewed
    from numbered

),

-- All draws of an order. The hours are counted from the step before, those of what goes wrong from the order's creation.
drawn as materialized (

    select
        number,
        key,
        day_index,
        products,
        demo.moment(day, fraction) as created_at,
        -- 3 in 10 web orders come from the customer who registered last, the others from any, rather a recent one.
        case
            when {channel_key} = 1 then 1 + floor((500 + number / 5) * demo.chance(key, 'party'))::bigint
            when demo.chance(key, 'new party') < 0.3
                then greatest(1, first_customer + floor(customers * fraction)::bigint - 1)
            else 1 + floor(
                (first_customer + floor(customers * fraction) - 1)
                * greatest(demo.chance(key, 'party'), demo.chance(key, 'recent party'))
            )::bigint
        end as party,
        case
            when fate_draw < 0.003 then 'deleted'
            when fate_draw < 0.053 then 'canceled'
            when fate_draw < 0.063 then 'unavailable'
            when fate_draw < 0.093 then 'returned'
            when fate_draw < 0.100 then 'lost'
            else 'delivered'
        end as fate,
        is_reviewed,
        1 + floor(4 * demo.chance(key, 'lines') ^ 3)::integer as lines,
        demo.pick(demo.chance(key, 'discount'), '0 0 0 0 0 0 0 0 0 0 0 0 0 0 5 5 10 10 20 30')::integer as discount_percent,
        case when demo.chance(key, 'amended') < 0.03
            then demo.pick(demo.chance(key, 'amended how'), 'more less new') end as amendment,
        demo.hours(demo.chance(key, 'approved') ^ 3, 0.05, 36) as to_approved,
        demo.hours(demo.chance(key, 'processing'), 0.1, 12) as to_processing,
        demo.hours(demo.chance(key, 'invoiced'), 12, 24) as to_invoiced,
        demo.hours(demo.chance(key, 'shipped'), 4, 76) as to_shipped,
        demo.hours(demo.chance(key, 'delivered') ^ 2, 24, 336) as to_delivered,
        demo.hours(demo.chance(key, 'returned'), 48, 340) as to_returned,
        demo.hours(demo.chance(key, 'refunded'), 1, 48) as to_refunded,
        demo.hours(demo.chance(key, 'reviewed at'), 12, 240) as to_reviewed,
        demo.hours(demo.chance(key, 'stop'), 0.2, 72) as to_stop,
        demo.hours(demo.chance(key, 'amended at'), 1, 48) as to_amended,
        demo.fault(key, 'order', {order_faults}) as order_fault,
        demo.fault(
            key, 'item', 'no_product malformed_product unknown_product zero_quantity absurd_quantity negative_price '
            'absurd_price absurd_discount', 1.7
        ) as item_fault,
        demo.fault(
            key, 'payment', 'no_order unknown_order negative_amount absurd_amount unknown_currency unknown_status far_future', 1.2
        ) as payment_fault,
        case when is_reviewed then demo.fault(
            key, 'review', 'rating_0 rating_6 no_rating no_text malformed_product no_keys no_id unreadable_date'
        ) end as review_fault
    from paced
    -- Delivered within 20 days: of the older orders only the returned and the reviewed can still change.
    where day >= {previous}::date - 21 or is_reviewed or fate_draw between 0.063 and 0.093

),

timed as materialized (

    select
        drawn.*,
        demo.after(created_at, to_approved) as approved_at,
        demo.after(created_at, to_approved + to_processing) as processing_at,
        demo.after(created_at, to_approved + to_invoiced) as invoiced_at,
        demo.after(created_at, to_approved + to_invoiced + to_shipped) as shipped_at,
        case when fate in ('delivered', 'returned')
            then demo.after(created_at, to_approved + to_invoiced + to_shipped + to_delivered) end as delivered_at,
        case when fate = 'returned'
            then demo.after(created_at, to_approved + to_invoiced + to_shipped + to_delivered + to_returned)
        end as returned_at,
        case
            when fate = 'returned' then demo.after(
                created_at, to_approved + to_invoiced + to_shipped + to_delivered + to_returned + to_refunded
            )
            when fate in ('canceled', 'unavailable') and to_approved < to_stop
                then demo.after(created_at, to_stop + to_refunded)
        end as refunded_at,
        case when is_reviewed and fate in ('delivered', 'returned')
            then demo.after(created_at, to_approved + to_invoiced + to_shipped + to_delivered + to_reviewed)
        end as reviewed_at,
        -- A canceled or deleted order goes no further.
        case when fate in ('deleted', 'canceled', 'unavailable') then to_stop else 'infinity' end as hours_to_live
    from drawn

),

-- From here on only what has happened: the rest is null.
seen as materialized (

    select
        number,
        key,
        day_index,
        products,
        party,
        fate,
        lines,
        discount_percent,
        created_at,
        demo.seen(case when to_approved < hours_to_live then approved_at end, {until}) as approved_at,
        demo.seen(case when to_approved + to_processing < hours_to_live then processing_at end, {until}) as processing_at,
        demo.seen(case when hours_to_live = 'infinity' then invoiced_at end, {until}) as invoiced_at,
        demo.seen(case when hours_to_live = 'infinity' then shipped_at end, {until}) as shipped_at,
        demo.seen(delivered_at, {until}) as delivered_at,
        demo.seen(case when hours_to_live < 'infinity' then demo.after(created_at, to_stop) end, {until}) as stopped_at,
        demo.seen(returned_at, {until}) as returned_at,
        demo.seen(refunded_at, {until}) as refunded_at,
        demo.seen(
            case when amendment is not null and to_amended < hours_to_live then demo.after(created_at, to_amended) end, {until}
        ) as amended_at,
        demo.seen(reviewed_at, {until}) as reviewed_at,
        demo.seen(case when demo.chance(key, 'review edited') < 0.06
            then demo.after(reviewed_at, demo.hours(demo.chance(key, 'review edited at'), 3, 150)) end, {until}
        ) as review_edited_at,
        demo.seen(case when demo.chance(key, 'review removed') < 0.015
            then demo.after(reviewed_at, demo.hours(demo.chance(key, 'review removed at'), 151, 190)) end, {until}
        ) as review_removed_at,
        demo.seen(case when review_fault is not null then demo.fixed_at(key, 'review', reviewed_at) end, {until})
            as review_fixed_at,
        demo.seen(case when order_fault is not null then demo.fixed_at(key, 'order', created_at) end, {until})
            as order_fixed_at,
        demo.seen(case when item_fault is not null then demo.fixed_at(key, 'item', created_at) end, {until})
            as item_fixed_at,
        demo.seen(case when payment_fault is not null then demo.fixed_at(key, 'payment', created_at) end, {until})
            as payment_fixed_at,
        amendment,
        order_fault,
        item_fault,
        payment_fault,
        review_fault
    from timed

),

updated as materialized (

    select
        seen.*,
        greatest(
            created_at, approved_at, processing_at, invoiced_at, shipped_at, delivered_at, stopped_at, returned_at,
            amended_at, order_fixed_at
        ) as updated_at,
        greatest(reviewed_at, review_edited_at, review_removed_at, review_fixed_at) as review_updated_at
    from seen

),

changed as materialized (

    select
        updated.*,
        -- All of an order that was committed late is new on the day that sees it.
        case when demo.is_committed_late(key) and created_at >= {previous} - interval '1 day' and created_at < {previous}
            then created_at else {previous} end as new_from,
        case when {channel_key} = 1 then demo.buyer_country(party)
            else demo.customer_country(party, demo.customer_version(party, day_index)) end as country
    from updated
    where (
            greatest(updated_at, refunded_at, item_fixed_at, payment_fixed_at, review_updated_at) >= {previous}
            or (demo.is_committed_late(key) and created_at >= {previous} - interval '1 day')
        )
        and not (demo.is_committed_late(key) and created_at >= {last_day}::date)

)

select
    number,
    key,
    day_index,
    products,
    party,
    country,
    demo.currency_of(country) as currency,
    demo.per_dollar(demo.currency_of(country)) as per_dollar,
    lines,
    discount_percent,
    created_at,
    -- Some are recorded days after they were placed.
    case when demo.chance(key, 'late') < demo.error_rate() / 2
        then created_at - interval '1 day' * (1 + floor(4 * demo.chance(key, 'how late'))) else created_at
    end as placed_at,
    approved_at,
    shipped_at,
    delivered_at,
    refunded_at,
    case when fate = 'deleted' then stopped_at end as deleted_at,
    case when fate <> 'deleted' then stopped_at end as stopped_at,
    case
        when returned_at is not null then 'returned'
        when stopped_at is not null and fate <> 'deleted' then fate
        when delivered_at is not null then 'delivered'
        when shipped_at is not null then 'shipped'
        when invoiced_at is not null then 'invoiced'
        when processing_at is not null then 'processing'
        when approved_at is not null then 'approved'
        else 'created'
    end as status,
    case when amended_at is not null then amendment end as amendment,
    amended_at,
    reviewed_at,
    review_edited_at,
    review_removed_at,
    item_fixed_at,
    payment_fixed_at,
    case when order_fixed_at is null then order_fault end as order_fault,
    case when item_fixed_at is null then item_fault end as item_fault,
    case when payment_fixed_at is null then payment_fault end as payment_fault,
    case when review_fixed_at is null then review_fault end as review_fault,
    updated_at,
    review_updated_at,
    new_from
from changed
