-- Which build the figures are of, what holds back the one after it, and the time zone of their days.
select
    group_name,
    published_at,
    held_back is not null as is_held_back,
    held_back_at,
    reporting_time_zone
from operations.published_marts
order by group_name
