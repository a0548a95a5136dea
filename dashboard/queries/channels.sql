-- The channels, and the source that each comes from. Those with most orders have a name; all others are one, named others.
select
    channel,
    case channel when 'web' then 'shop' else channel end as source,
    row_number() over (order by sum(orders) desc, channel) <= %(most)s as is_named
from sales.agg_daily_sales
group by channel
order by sum(orders) desc, channel
