-- The channels with most orders, and the source that each comes from. All other channels are one, named others.
select
    channel,
    case channel when 'web' then 'shop' else channel end as source
from sales.agg_daily_sales
group by channel
order by sum(orders) desc, channel
limit %(most)s
