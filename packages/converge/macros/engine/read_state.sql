{% macro read_state(target, plan) -%}
    {#
        Takes the model's lock (two runs of one model wait for each other, to the end of the transaction) and reads,
        for each input, how far it is now and how far this table has consumed it. One round trip.
    #}
    {%- set state = converge.state_schema() -%}
    {%- call statement('converge_state', fetch_result=true) -%}
        -- A time without a zone means the same to everyone who builds.
        set local timezone to 'UTC';
        select pg_advisory_xact_lock(hashtextextended('converge {{ target.schema }}.{{ target.identifier }}', 0));
        with now_at as (
            {%- for input in plan.inputs %}
            select
                '{{ input.kind }}' as kind,
                '{{ input.relation.schema }}.{{ input.relation.identifier }}' as input,
                coalesce(to_regclass('{{ input.relation.include(database=false) }}')::oid, 0::oid) as input_oid,
                {% if input.kind == 'landed' -%}
                {{ converge.landed_bound(target, input) }}
                {%- elif input.kind == 'changes' -%}
                (
                    select bound from {{ state }}.inputs
                    where relation = to_regclass('{{ input.relation.include(database=false) }}')::oid and input = '(self)'
                )
                {%- else -%}
                (select hashtextextended(coalesce(string_agg(row_text, chr(10) order by row_text), ''), 0) from (select seed::text as row_text from {{ input.relation.include(database=false) }} as seed) as seed)
                {%- endif %} as bound
            union all
            {%- endfor %}
            select 'code', '(code)', 0::oid, ('x' || left('{{ plan.code }}', 16))::bit(64)::bigint
            union all
            select 'shape', '(shape)', 0::oid, ('x' || left('{{ plan.shape }}', 16))::bit(64)::bigint
            union all
            select 'self', '(self)', 0::oid, 0
        ),

        target as (
            select oid, relkind from pg_class where oid = to_regclass('{{ target.include(database=false) }}')
        )

        select
            now_at.kind,
            now_at.input,
            now_at.input_oid::bigint as input_oid,
            -- An older run that comes late never takes a table back.
            case when now_at.kind = 'landed' and seen.input_oid = now_at.input_oid then greatest(now_at.bound, seen.bound) else now_at.bound end as bound,
            seen.input_oid::bigint as seen_oid,
            seen.bound as seen,
            target.relkind::text as target_kind
        from now_at
        left join target on true
        left join {{ state }}.inputs as seen on target.oid = seen.relation and now_at.input = seen.input
    {%- endcall -%}
    {{ return(load_result('converge_state').table.rows) }}
{%- endmacro %}
