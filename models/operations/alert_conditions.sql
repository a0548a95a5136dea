{#
    Grain: one row per kind of alert and what it is about, while its measure is over a limit of the seed alert_thresholds.
    A view: it costs nothing until it is asked. What readers see is read where they see it, so it is built before the first
    publication too, and then says nothing of ratings, unknown customers and products; nor while readers' marts lack a column.
    A new kind is a select here, its limits in the seed, and its entry in docs/runbook.md.
#}
{{ config(materialized='view') }}

{% set shown_orders = shown_to_readers('fct_orders', ['order_id', 'order_date', 'customer_id']) %}
{% set shown_lines = shown_to_readers('fct_order_items', ['order_id', 'product_id']) %}
{% set shown_reviews = shown_to_readers('fct_reviews', ['review_date', 'product_id']) %}
{% set shown_customers = shown_to_readers('dim_customers', ['customer_id']) %}
{% set shown_products = shown_to_readers('dim_products', ['product_id']) %}
{% set shown_ratings = shown_to_readers('product_ratings', [
    'product_id', 'as_of_date', 'has_dropped', 'rating_change', 'average_rating_30_days', 'average_rating_30_days_before', 'reviews_30_days',
]) %}

with limits as (

    select * from {{ ref('alert_thresholds') }}

),

clocks as (

    -- The wall clock says something only where sources go with it: a load of the last month read up to about the time at
    -- which it ran. A replay, a backfill and the demo shop have times of their own.
    select
        {{ wall_clock() }} as asked_at,
        max(ledger.finished_at) as last_finished_at,
        min(ledger.finished_at) as first_finished_at,
        coalesce(max(case
            when
                ledger.interval_until between {{ dbt.dateadd('day', -2, 'ledger.started_at') }}
                and {{ dbt.dateadd('day', 2, 'ledger.started_at') }}
                then ledger.started_at
        end) >= {{ dbt.dateadd('day', -30, 'max(ledger.started_at)') }}, false) as has_meaning
    from {{ ref('stg_ledger__loads') }} as ledger

),

judged_days as (

    select
        'volume_low' as kind,
        source || '.' || table_name as table_label,
        day,
        -- Of a day that can't be judged nothing is known: what was said of the days before has ended.
        case when verdict in ('ok', 'warn') then 100 * share_of_expected end as measure,
        landed_rows || ' rows changed on ' || day || ', ' || round(100 * share_of_expected) || ' % of the ' || round(expected_rows)
        || ' that the same weekdays before had.' as words
    from {{ ref('table_volumes_daily') }}
    where verdict not in ('incomplete', 'not_judged')
    union all
    select
        'quality_low' as kind,
        source || '.' || table_name as table_label,
        day,
        score as measure,
        'the quality score of ' || day || ' is ' || score || ' of 100: of ' || landed_rows || ' rows ' || refused_rows
        || ' were refused and ' || waiting_rows || ' wait for their order; volume ' || volume_verdict || ', freshness '
        || freshness_verdict || ', columns out of line ' || columns_out_of_line || '.' as words
    from {{ ref('data_quality_daily') }}
    where volume_verdict != 'incomplete'

),

days as (

    select
        judged_days.*,
        max(case when judged_days.measure < limits.limit_value then 1 else 0 end) as is_over
    from judged_days
    left join limits
        on
            judged_days.kind = limits.kind
            and limits.comparison = 'below'
    group by judged_days.kind, judged_days.table_label, judged_days.day, judged_days.measure, judged_days.words

),

stretches as (

    -- The last day of a table counts, and the days before it that were over the limit too.
    select
        days.*,
        max(days.day) over (partition by days.kind, days.table_label) as last_day,
        max(case when days.is_over = 0 then days.day end) over (partition by days.kind, days.table_label) as last_good_day,
        min(days.day) over (partition by days.kind, days.table_label) as first_day
    from days

),

last_profiled_days as (

    {{ last_profiled_days() | indent }}

),

audited as (

    select
        relation,
        rows,
        differences,
        audited_at,
        row_number() over (partition by relation order by audited_at desc) as audits_ago
    from {{ operations_state('audit_log') }}

),

audits as (

    select max(audited_at) as last_audited_at from audited

),

conditions as (

    select
        kind,
        table_label as about,
        'platform' as group_name,
        table_label as concerns,
        measure,
        {{ utc_midnight("case when last_good_day is null then first_day else " ~ dbt.dateadd('day', 1, 'last_good_day') ~ " end") }} as since,
        table_label || ': ' || words as words
    from stretches
    where day = last_day

    union all

    select
        'column_outlier' as kind,
        statistics.source || '.' || statistics.table_name || '.' || statistics.column_name || ' ' || statistics.statistic as about,
        'platform' as group_name,
        statistics.source || '.' || statistics.table_name as concerns,
        -- A statistic that never varied has no z-score, which `least` takes for more than any.
        least(abs(statistics.z_score), 999) as measure,
        {{ utc_midnight('statistics.day') }} as since,
        statistics.source || '.' || statistics.table_name || '.' || statistics.column_name || ': its ' || statistics.statistic || ' was '
        || cast(round(statistics.value, 2) as varchar) || ' on ' || statistics.day || ', and ' || cast(round(statistics.expected, 2) as varchar)
        || ' on average in the 28 days before' || coalesce(' (z-score ' || statistics.z_score || ').', ', without ever varying.') as words
    from {{ ref('column_statistics_daily') }} as statistics
    inner join last_profiled_days
        on
            statistics.source = last_profiled_days.source
            and statistics.table_name = last_profiled_days.table_name
            and statistics.day = last_profiled_days.day
    where statistics.verdict = 'warn'

    union all

    select
        'source_late' as kind,
        source || '.' || table_name as about,
        'platform' as group_name,
        source || '.' || table_name as concerns,
        case verdict when 'error' then 2 else 1 end as measure,
        newest_change_at as since,
        words
    from {{ ref('source_freshness') }}
    where verdict in ('warn', 'error')

    union all

    select
        case when held_back like '{{ converge.taken_back_words('%') }}' then 'marts_taken_back' else 'marts_held_back' end as kind,
        group_name as about,
        case group_name when 'feedback' then 'feedback' else 'core' end as group_name,
        group_name as concerns,
        {{ dbt.datediff('held_back_at', wall_clock(), 'hour') }} as measure,
        held_back_at as since,
        'The marts of ' || group_name || ' are not published: ' || held_back || '. Readers keep the build of '
        || coalesce({{ utc_words('published_at') }} || ' UTC', 'nothing yet') || '.' as words
    from {{ ref('published_marts') }}
    where held_back is not null

    union all

    select
        'audit_difference' as kind,
        relation as about,
        'platform' as group_name,
        relation as concerns,
        differences as measure,
        audited_at as since,
        relation || ': ' || differences || ' of ' || rows || ' rows differ from a rebuild, says its last audit.' as words
    from audited
    where
        audits_ago = 1
        and differences > 0
        and relation in (
            select standing.schema_name || '.' || standing.relation_name
            from ({{ standing_relations() }}) as standing
        )

    union all

    select
        'audit_old' as kind,
        'warehouse' as about,
        'platform' as group_name,
        cast(null as varchar) as concerns,
        {{ dbt.datediff('coalesce(audits.last_audited_at, clocks.first_finished_at)', 'clocks.asked_at', 'day') }} as measure,
        coalesce(audits.last_audited_at, clocks.first_finished_at) as since,
        coalesce('No table was audited since ' || {{ utc_words('audits.last_audited_at') }} || ' UTC', 'No table was ever audited')
        || ': nobody has compared them with what landed.' as words
    from audits
    cross join clocks
    where
        clocks.has_meaning
        and clocks.first_finished_at is not null

    union all

    select
        'run_missing' as kind,
        loaded.source as about,
        'platform' as group_name,
        cast(null as varchar) as concerns,
        {{ dbt.datediff('max(loaded.finished_at)', 'max(clocks.asked_at)', 'hour') }} as measure,
        max(loaded.finished_at) as since,
        'Nothing of ' || loaded.source || ' was loaded and built since ' || {{ utc_words('max(loaded.finished_at)') }}
        || ' UTC.' as words
    from {{ ref('int_tables__last_loaded') }} as loaded
    cross join clocks
    where clocks.has_meaning
    group by loaded.source

    union all

    select
        'wal_held' as kind,
        cast(slots.slot_name as varchar) as about,
        'platform' as group_name,
        cast(null as varchar) as concerns,
        slots.held_mb as measure,
        cast(null as timestamptz) as since,
        'The replication slot ' || slots.slot_name || case when slots.active then ', which is in use,' else ', which nobody uses,' end
        || ' keeps ' || cast(round(slots.held_mb) as varchar) || ' MB of WAL on the disk of the warehouse''s server.' as words
    from {{ replication_slots() }} as slots

    union all

    select
        'slo_burn' as kind,
        slo.group_name || ' ' || slo.objective as about,
        case slo.group_name when 'feedback' then 'feedback' else 'core' end as group_name,
        slo.group_name as concerns,
        slo.burn_rate as measure,
        cast(null as timestamptz) as since,
        'The error budget for ' || slo.objective || ' of the marts of ' || slo.group_name || ' is used ' || slo.burn_rate
        || ' times as fast as it would last: ' || round(slo.lately_bad) || ' of ' || round(slo.lately_measured)
        || case slo.objective when 'success' then ' builds' else ' hours' end || ' of the last 3 days were bad.' as words
    from {{ ref('slo_status') }} as slo
    cross join clocks
    where
        -- One build that fails is told as marts that are held back; one of few would use any budget.
        (slo.objective = 'success' and slo.lately_bad >= 2)
        or (slo.objective = 'freshness' and clocks.has_meaning)

    -- What facts name and dimensions lack stays in the facts; it is told here.
    {% if shown_orders and shown_customers %}
    union all

    select
        'unknown_customers' as kind,
        'core.fct_orders' as about,
        'core' as group_name,
        'core.fct_orders' as concerns,
        100.0 * of_unknown / nullif(named, 0) as measure,
        {{ reporting_midnight(dbt.dateadd('day', -6, 'last_day')) }} as since,
        of_unknown || ' of the ' || named || ' orders of the week until ' || last_day
        || ' that name a customer name one that core.dim_customers does not have.' as words
    from {{ unknown_in_last_week(shown_orders, 'customer_id', shown_customers, 'order_date', shown_orders) | indent }} as last_week
    {% endif %}

    {% if shown_orders and shown_lines and shown_products %}
    {% set lines -%}
    (
        select
            orders.order_date,
            lines.product_id
        from {{ shown_orders }} as orders
        inner join {{ shown_lines }} as lines
            on orders.order_id = lines.order_id
    )
    {%- endset %}
    union all

    select
        'unknown_products' as kind,
        'core.fct_order_items' as about,
        'core' as group_name,
        'core.fct_order_items' as concerns,
        100.0 * of_unknown / nullif(named, 0) as measure,
        {{ reporting_midnight(dbt.dateadd('day', -6, 'last_day')) }} as since,
        of_unknown || ' of the ' || named || ' lines of the week until ' || last_day || ' name a product that core.dim_products does not have.' as words
    from {{ unknown_in_last_week(lines, 'product_id', shown_products, 'order_date', shown_orders) | indent }} as last_week
    {% endif %}

    {% if shown_reviews and shown_products %}
    union all

    select
        'unknown_products' as kind,
        'core.fct_reviews' as about,
        'feedback' as group_name,
        'core.fct_reviews' as concerns,
        100.0 * of_unknown / nullif(named, 0) as measure,
        {{ reporting_midnight(dbt.dateadd('day', -6, 'last_day')) }} as since,
        of_unknown || ' of the ' || named || ' reviews of the week until ' || last_day
        || ' that name a product name one that core.dim_products does not have.' as words
    from {{ unknown_in_last_week(shown_reviews, 'product_id', shown_products, 'review_date', shown_reviews) | indent }} as last_week
    {% endif %}

    {% if shown_ratings %}
    union all

    select
        'rating_drop' as kind,
        product_id as about,
        'feedback' as group_name,
        'feedback.product_ratings' as concerns,
        -rating_change as measure,
        {{ reporting_midnight('as_of_date') }} as since,
        'Product ' || product_id || ': ' || cast(average_rating_30_days as varchar) || ' stars on average in the 30 days until ' || as_of_date
        || ' (' || reviews_30_days || ' reviews), ' || cast(average_rating_30_days_before as varchar) || ' in the 30 before.' as words
    from {{ shown_ratings }}
    where has_dropped
    {% endif %}

),

over_limits as (

    select
        conditions.*,
        limits.severity,
        limits.limit_value,
        row_number() over (
            partition by conditions.kind, conditions.about
            order by case limits.severity when 'critical' then 1 else 2 end
        ) as severity_order
    from conditions
    inner join limits
        on
            conditions.kind = limits.kind
            and (
                (limits.comparison = 'below' and conditions.measure < limits.limit_value)
                or (limits.comparison = 'from' and conditions.measure >= limits.limit_value)
            )

)

select
    cast(kind as varchar) as kind,
    cast(severity as varchar) as severity,
    cast(about as varchar) as about,
    cast(group_name as varchar) as group_name,
    cast(concerns as varchar) as concerns,
    since,
    cast(round(cast(measure as numeric), 4) as numeric(18, 4)) as measure,
    cast(limit_value as numeric(18, 4)) as limit_value,
    cast(words as varchar) as words
from over_limits
where severity_order = 1
