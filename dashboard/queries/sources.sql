-- Up to which day each table of a source of orders has landed whole, in what is published. A table that is read by
-- intervals or by `updated_at` has what its last load reached, and more, up to the newest change of any source, if it was
-- read after that. Of a source of which all tables are read in full or by their change log, it is when it was read.
-- A table is behind if another one has a day more; what is so for over a quarter is retired, and nobody waits for it.
with published as (

    select coalesce(max(published_at), 'infinity') as published_at
    from operations.published_marts
    where group_name = 'shop'

),

loads as (

    select
        source,
        table_name,
        max(interval_until) as reached_at,
        max(started_at) as read_at,
        (array_agg(kind order by load_id desc))[1] not in ('full', 'change_log') as is_dated
    from operations.pipeline_loads
    -- What landed later waits for the next build.
    inner join published
        on pipeline_loads.finished_at <= published.published_at
    where kind != 'reconcile'
    group by source, table_name

),

landed as (

    select
        source,
        table_name,
        greatest(
            reached_at,
            least(read_at, case when bool_or(is_dated) over (partition by source) then max(reached_at) over () end)
        ) as landed_until
    from loads

),

days as (

    select
        source,
        table_name,
        cast(landed_until at time zone %(zone)s as date) - 1 as last_whole_day
    from landed
    where source in (select case channel when 'web' then 'shop' else channel end from sales.agg_daily_sales)

)

select
    source,
    table_name,
    last_whole_day,
    max(last_whole_day) over () - last_whole_day between 1 and 91 as is_behind
from days
order by source, table_name
