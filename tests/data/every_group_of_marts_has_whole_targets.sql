{# Every group that is published has one target of each objective, a share between 0 and 1, and freshness says how many hours. #}
with wanted as (

    select
        published.group_name,
        objectives.objective
    from {{ ref('published_marts') }} as published
    cross join (values ('freshness'), ('success')) as objectives (objective)

)

select
    coalesce(wanted.group_name, targets.group_name) as group_name,
    coalesce(wanted.objective, targets.objective) as objective,
    count(targets.target) as targets
from wanted
full join {{ ref('slo_targets') }} as targets
    on
        wanted.group_name = targets.group_name
        and wanted.objective = targets.objective
group by coalesce(wanted.group_name, targets.group_name), coalesce(wanted.objective, targets.objective)
having
    count(targets.target) != 1
    or not coalesce(min(targets.target) > 0 and max(targets.target) < 1, false)
    or coalesce(wanted.objective, targets.objective) not in ('freshness', 'success')
    or (coalesce(wanted.objective, targets.objective) = 'freshness' and count(targets.within_hours) = 0)
