{# Grain: one row per day and language with at least one review. #}
{{ config(unique_key=['review_date', 'language']) }}

{% call converge.touched('review_date', 'language') %}
    select
        review_date,
        coalesce(language, 'unknown') as language
    from {{ converge.changes(ref('fct_reviews')) }}
{% endcall %}

with reviews as (

    select
        review_date,
        coalesce(language, 'unknown') as language,
        rating,
        review_text,
        sentiment
    from {{ converge.touched_rows(ref('fct_reviews'), 'review_date', "coalesce(language, 'unknown')") }} as touched

),

counted as (

    select
        review_date,
        language,
        count(*) as reviews,
        sum(rating) as rating_sum,
        sum(case when review_text is not null then 1 else 0 end) as written_reviews,
        sum(case when sentiment = 'positive' then 1 else 0 end) as positive_reviews,
        sum(case when sentiment = 'neutral' then 1 else 0 end) as neutral_reviews,
        sum(case when sentiment = 'negative' then 1 else 0 end) as negative_reviews
    from reviews
    group by review_date, language

)

select
    review_date,
    language,
    reviews,
    rating_sum,
    {{ average_rating('rating_sum', 'reviews') }} as average_rating,
    written_reviews,
    cast(round(cast(written_reviews as numeric) / nullif(reviews, 0), 4) as numeric(5, 4)) as written_share,
    positive_reviews,
    neutral_reviews,
    negative_reviews
from counted
