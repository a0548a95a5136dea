{# Grain: one row per review with a text. #}
{{ config(unique_key='review_id') }}

{% call converge.touched('review_id') %}
    select review_id from {{ converge.changes(ref('stg_reviews__reviews')) }}
{% endcall %}

with reviews as (

    select
        review_id,
        -- The language of pt-br is pt.
        {{ dbt.split_part("replace(language, '_', '-')", "'-'", 1) }} as language,
        -- The full stop keeps a negation at the end of the title from applying to the text.
        coalesce(title || '. ', '') || review_text as words
    from {{ converge.touched_rows(ref('stg_reviews__reviews'), 'review_id') }} as touched
    where
        not _is_deleted
        and review_text is not null

),

-- Materialized: without statistics of a new seed, the planner would fold the words again for every clause.
seed as materialized (

    select
        language,
        {{ fold_text('word') }} as word,
        kind,
        weight
    from {{ ref('sentiment_words') }}

),

found as (

    -- A review that names no language is read in all of them.
    select
        reviews.review_id,
        seed.language,
        seed.kind,
        seed.weight,
        spoken.clause,
        spoken.position,
        lag(seed.kind) over clause_in_order as kind_before,
        spoken.position - lag(spoken.position) over clause_in_order as words_since,
        lead(seed.kind) over clause_in_order as kind_after,
        lead(spoken.position) over clause_in_order - spoken.position as words_until
    from reviews
    cross join {{ words_in('reviews.words') }} as spoken
    inner join seed
        on
            spoken.word = seed.word
            and (reviews.language = seed.language or reviews.language is null)
    window clause_in_order as (partition by reviews.review_id, seed.language, spoken.clause order by spoken.position)

),

weighed as (

    -- A negation reverses the next word of the list, up to three words further on. If there is none, its own weight counts.
    select
        review_id,
        language,
        case
            when kind = 'word' and kind_before = 'negation' and words_since <= 3 then -weight
            when kind = 'negation' and kind_after = 'word' and words_until <= 3 then 0
            else weight
        end as weight
    from found

),

scored as (

    select
        review_id,
        language,
        sum(weight) as score,
        row_number() over (partition by review_id order by count(*) desc, language) as choice
    from weighed
    group by review_id, language

)

select
    reviews.review_id,
    -- A review that states no language: the language with most of its words.
    scored.language as read_as,
    cast(coalesce(scored.score, 0) as integer) as sentiment_score,
    cast(case when scored.score > 0 then 'positive' when scored.score < 0 then 'negative' else 'neutral' end as varchar) as sentiment
from reviews
left join scored
    on
        reviews.review_id = scored.review_id
        and scored.choice = 1
