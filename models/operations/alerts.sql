{#
    Grain: one row per alert: each open condition, and each that ended.
    A view: conditions are as of the moment, and alert_log says what the sender has seen open and end, and told.
#}
{{ config(materialized='view') }}

{% set exposures = exposed_by() %}

with conditions as (

    select * from {{ ref('alert_conditions') }}

),

known as (

    select
        alert_id,
        max(kind) as kind,
        max(about) as about,
        max(case when severity = 'critical' then 1 else 0 end) as was_critical,
        max(group_name) as group_name,
        max(case when event = 'opened' then since end) as since,
        max(case when event = 'opened' then words end) as words,
        max(case when event = 'opened' then at end) as opened_at,
        max(case when event = 'resolved' then at end) as resolved_at
    from {{ operations_state('alert_log') }}
    group by alert_id

),

unended as (

    select *
    from known
    where resolved_at is null

),

readers as (

    {% for name, labels in exposures.items() %}
    select
        '{{ name }}' as concerns,
        '{{ labels | join(', ') | replace("'", "''") }}' as hurts
    union all
    {% endfor %}
    select
        cast(null as varchar) as concerns,
        cast(null as varchar) as hurts
    where 1 = 0

),

acknowledgements as (

    select
        kind,
        about,
        -- No end is an end that any program can read.
        least(max(until), cast('9999-12-31' as date)) as until,
        max(acknowledged_by) as acknowledged_by
    from {{ ref('alert_acknowledgements') }}
    where until >= {{ utc_date(wall_clock()) }}
    group by kind, about

),

joined as (

    select
        unended.alert_id,
        coalesce(conditions.kind, unended.kind) as kind,
        coalesce(conditions.severity, case unended.was_critical when 1 then 'critical' else 'warning' end) as severity,
        coalesce(conditions.about, unended.about) as about,
        coalesce(conditions.group_name, unended.group_name) as group_name,
        conditions.concerns,
        coalesce(unended.since, conditions.since) as since,
        coalesce(conditions.words, unended.words) as words,
        conditions.measure,
        conditions.limit_value,
        unended.opened_at,
        unended.resolved_at,
        conditions.kind is not null as is_open
    from conditions
    full join unended
        on
            conditions.kind = unended.kind
            and conditions.about = unended.about
    union all
    select
        alert_id,
        kind,
        case was_critical when 1 then 'critical' else 'warning' end as severity,
        about,
        group_name,
        null as concerns,
        since,
        words,
        null as measure,
        null as limit_value,
        opened_at,
        resolved_at,
        false as is_open
    from known
    where resolved_at is not null

)

select
    joined.alert_id,
    cast(joined.kind as varchar) as kind,
    cast(joined.severity as varchar) as severity,
    cast(joined.about as varchar) as about,
    cast(joined.group_name as varchar) as group_name,
    joined.since,
    cast(case
        when not joined.is_open then 'resolved'
        when acknowledgements.until is not null then 'acknowledged'
        else 'open'
    end as varchar) as state,
    cast(joined.words as varchar) as words,
    -- Without something of its own that it concerns, it concerns whoever reads.
    cast(coalesce(readers.hurts, case when joined.is_open and joined.concerns is null then 'all readers' end) as varchar) as hurts,
    joined.measure,
    joined.limit_value,
    cast('#' || joined.kind as varchar) as runbook,
    joined.opened_at,
    cast(case when joined.is_open then acknowledgements.acknowledged_by end as varchar) as acknowledged_by,
    case when joined.is_open then acknowledgements.until end as acknowledged_until,
    joined.resolved_at
from joined
left join readers
    on joined.concerns = readers.concerns
left join acknowledgements
    on
        joined.kind = acknowledgements.kind
        and joined.about = acknowledgements.about
