-- Fails with each tier that does not begin where the one before ends, the first at 0, the last past 1.
with tiers as (

    select
        tier,
        from_share,
        until_share,
        lag(until_share, 1, 0) over (order by from_share) as should_begin_at,
        lead(from_share) over (order by from_share) as next_share
    from {{ ref('discount_tiers') }}

)

select * from tiers
where
    from_share != should_begin_at
    or until_share <= from_share
    or (next_share is null and until_share <= 1)
