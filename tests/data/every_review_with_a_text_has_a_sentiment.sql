-- Fails with each review that has a text and no sentiment, or a sentiment and no text, or one that does not match its score.
select
    review_id,
    review_text,
    sentiment,
    sentiment_score
from {{ ref('fct_reviews') }}
where
    {{ converge.is_tested(ref('fct_reviews'), 'review_id') }}
    and (
        (review_text is null) != (sentiment is null)
        or sentiment != case when sentiment_score > 0 then 'positive' when sentiment_score < 0 then 'negative' else 'neutral' end
    )
