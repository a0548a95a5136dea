-- Fails with each row of the seed that no review can match, or that is there twice: case and accents are ignored.
with folded as (

    select
        language,
        word as word_written,
        {{ fold_text('word') }} as word
    from {{ ref('sentiment_words') }}

),

read as (

    -- The word as a review would contain it: it must stay one word, and the same.
    select
        folded.language,
        folded.word_written,
        folded.word,
        count(*) as words,
        min(spoken.word) as first_word
    from folded
    left join {{ words_in('folded.word') }} as spoken
        on true
    group by folded.language, folded.word_written, folded.word

),

compared as (

    select
        *,
        count(*) over (partition by language, word) as rows_of_word
    from read

)

select * from compared
where
    rows_of_word > 1
    or words != 1
    or first_word is distinct from word
    or language != {{ clean_code('language', 'lower') }}
