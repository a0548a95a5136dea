-- Which build the figures are of, and what holds back the one after it.
select
    group_name,
    published_at,
    changed_at,
    code_version,
    held_back is not null as is_held_back,
    held_back_at
from operations.published_marts
order by group_name
