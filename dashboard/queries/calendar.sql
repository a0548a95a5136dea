-- The periods that can be chosen, the bars that each is drawn in, and the same days before.
-- They end with the last day of the published sales that has landed whole of any source of orders. All weeks end with that day, so that a bar and the one
-- before it have the same weekdays. The last month is a month of the calendar, and so is the one before it. Older
-- history is drawn coarser: in days up to 91 of them, in weeks up to two years, in months up to six, in quarters up to
-- twenty, then in years.
with days as (

    select
        min(order_date) as first_day,
        max(order_date) as last_day,
        cast(date_trunc('month', max(order_date) + 1) as date) as month_after
    from sales.agg_daily_sales
    where order_date <= %(whole)s

),

periods (period, before_words, grain, starts_on, ends_on, before_starts_on) as (

    select
        '7 days',
        'the 7 days before',
        '1 day',
        last_day - 6,
        last_day,
        last_day - 13
    from days
    union all
    select
        '28 days',
        'the 28 days before',
        '1 day',
        last_day - 27,
        last_day,
        last_day - 55
    from days
    union all
    select
        'last month',
        'the month before',
        '1 day',
        cast(month_after - interval '1 month' as date),
        month_after - 1,
        cast(month_after - interval '2 months' as date)
    from days
    union all
    select
        '13 weeks',
        'the 13 weeks before',
        '7 days',
        last_day - 90,
        last_day,
        last_day - 181
    from days
    union all
    select
        '52 weeks',
        'the 52 weeks before',
        '7 days',
        last_day - 363,
        last_day,
        last_day - 727
    from days
    union all
    select
        'all',
        null,
        case
            when last_day - first_day < 91 then '1 day'
            when last_day - first_day < 728 then '7 days'
            when last_day - first_day < 6 * 365 then '1 month'
            when last_day - first_day < 20 * 365 then '3 months'
            else '1 year'
        end,
        first_day,
        last_day,
        null
    from days

),

known as (

    -- Without whole days before there is nothing to compare with.
    select
        period,
        before_words,
        grain,
        starts_on,
        ends_on,
        case when before_starts_on >= first_day then before_starts_on end as before_starts_on
    from periods
    cross join days
    where starts_on >= first_day

),

bars as (

    select
        known.*,
        cast(bar as date) as bar_starts_on,
        cast(bar + cast(grain as interval) as date) - 1 as bar_ends_on,
        before_starts_on + (cast(bar as date) - starts_on) as bar_before_starts_on
    from known
    cross join generate_series(
        cast(case grain
            when '1 month' then date_trunc('month', starts_on)
            when '3 months' then date_trunc('quarter', starts_on)
            when '1 year' then date_trunc('year', starts_on)
            when '7 days' then ends_on + 1 - 7 * ((ends_on - starts_on + 7) / 7)
            else starts_on
        end as timestamp),
        ends_on,
        cast(grain as interval)
    ) as bar

)

select
    period,
    before_words,
    grain,
    starts_on,
    ends_on,
    before_starts_on,
    case when before_starts_on is not null then starts_on - 1 end as before_ends_on,
    greatest(bar_starts_on, starts_on) as bar_starts_on,
    least(bar_ends_on, ends_on) as bar_ends_on,
    -- A month may have days that the month before it has not.
    case when bar_before_starts_on < starts_on then bar_before_starts_on end as bar_before_starts_on,
    case when bar_before_starts_on < starts_on then least(bar_before_starts_on + (bar_ends_on - bar_starts_on), starts_on - 1) end as bar_before_ends_on
from bars
order by ends_on - starts_on, period = 'all', bar_starts_on
