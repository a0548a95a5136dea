-- Grain: one row per review of a web order that changed in [previous, until). Some are about the next order as well
-- (variant 2), some are sent twice (variant 1).
insert into demo.reviews
with changed as materialized (

    select
        lives.*,
        lines.product,
        'P-' || lpad(lines.product::text, 6, '0') as product_id,
        case lives.country when 'BR' then 'pt' when 'MX' then 'es' when 'ES' then 'es' when 'DE' then 'de' else 'en' end
            as language,
        -- Some products go bad after a while.
        case
            when lines.product % 29 = 3 and lives.day_index > 20 + lines.product % 40
                then demo.pick(demo.chance(lives.key, 'rating'), '1 1 1 1 2 2 2 3 4 5')
            else demo.pick(demo.chance(lives.key, 'rating'), '1 1 2 3 3 4 4 4 4 5 5 5 5 5 5 5 5 5 5 5')
        end::integer as first_rating
    from lives
    inner join lines on lives.number = lines.number and lines.line_number = 1
    where lives.review_updated_at >= {previous}

),

rated as materialized (

    select
        changed.*,
        case when review_edited_at is null then first_rating else 1 + (first_rating + key % 4)::integer % 5 end as rating
    from changed

),

felt as materialized (

    select
        rated.*,
        -- Some say the opposite of their stars.
        case
            when demo.chance(key, 'mood') < 0.06 then 3 - 2 * (rating > 3)::integer
            when rating > 3 then 3
            when rating = 3 then 2
            else 1
        end as mood
    from rated

),

records as (

    select
        felt.*,
        jsonb_build_object(
            'review_id', 'R-' || lpad(felt.number::text, 10, '0'),
            'order_id', felt.number::text,
            'product_id', case felt.review_fault
                when 'malformed_product' then 'P ' || felt.product || '/3' else felt.product_id
            end,
            'customer_id', felt.party::text,
            'rating', case felt.review_fault
                when 'rating_0' then 0 when 'rating_6' then 6 when 'no_rating' then null else felt.rating
            end,
            'title', demo.one_of(demo.chance(felt.key, 'title'), phrases.titles),
            'text', case when felt.review_fault = 'no_text' then '' else
                demo.one_of(demo.chance(felt.key, 'opening'), phrases.openings) || ', '
                || demo.one_of(demo.chance(felt.key, 'ending'), phrases.endings)
            end,
            'language', felt.language,
            'created_at', case felt.review_fault
                when 'unreadable_date' then 'last week' else demo.iso(felt.reviewed_at)
            end,
            'updated_at', demo.iso(felt.review_updated_at),
            'deleted', felt.review_removed_at is not null
        ) as record
    from felt
    inner join demo.phrases on felt.language = phrases.language and felt.mood = phrases.mood

)

select
    records.number,
    sent.variant,
    records.review_updated_at as updated_at,
    case
        when sent.variant = 2 then records.record || jsonb_build_object('order_id', (records.number + 1)::text)
        when records.review_fault = 'no_keys' then records.record - array['order_id', 'product_id']
        when records.review_fault = 'no_id' then records.record - 'review_id'
        when demo.chance(records.key, 'review names') < 0.04 then records.record - 'order_id'
        when demo.chance(records.key, 'review names') < 0.08 then records.record - 'product_id'
        else records.record
    end::json as payload
from records
inner join (values (0), (1), (2)) as sent (variant)
    on sent.variant = 0
    or (sent.variant = 1 and demo.chance(records.key, 'review sent twice') < demo.error_rate() / 4)
    or (sent.variant = 2 and records.review_fault is null and demo.chance(records.key, 'review on two') < 0.01)
on conflict (number, variant) do update set
    updated_at = excluded.updated_at,
    payload = excluded.payload
