-- Which build the figures are of, what holds back the one after it, what is missing in it, and the time zone of its days.
select
    group_name,
    published_at,
    changed_at,
    code_version,
    held_back is not null as is_held_back,
    held_back_at,
    behind,
    reporting_time_zone
from operations.published_marts
order by group_name
