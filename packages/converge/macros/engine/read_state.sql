{% macro read_state(target, plan) -%}
    {#-
        Takes the model's lock (two runs of one model wait for each other, to the end of the transaction) and reads,
        for each input, how far it is now and how far this table has consumed it. Two round trips.
    -#}
    {%- set inputs = converge.state_table('inputs') -%}
    {%- do converge.lock_model(converge.input_name(target)) -%}
    {%- call statement('converge_state', fetch_result=true) -%}
        -- A time without a zone means the same to everyone who builds.
        set local timezone to 'UTC';
        with now_at (kind, input, input_oid, bound) as (
            {%- for input in plan.inputs %}
            {%- set input_oid = "to_regclass('" ~ input.read_as ~ "')" %}
            select
                '{{ input.kind }}',
                '{{ input.name }}',
                -- Landed rows stay as they are while the table keeps its file: another type of a column writes it anew.
                coalesce({{ 'pg_relation_filenode(' ~ input_oid ~ '), ' if input.kind == 'landed' }}{{ input_oid }}::oid, 0::oid),
                {% if input.kind == 'landed' -%}
                {{ converge.landed_bound(target, input) }}
                {%- elif input.kind == 'changes' -%}
                (select bound from {{ inputs }} where relation = {{ input_oid }}::oid and input = '(self)')
                {%- else -%}
                (select (coalesce(sum(hashtextextended((seed.*)::text, 0)), 0) % 9223372036854775807)::bigint from {{ input.read_as }} as seed)
                {%- endif %}
            union all
            {%- endfor %}
            select 'code', '(code)', 0::oid, ('x' || left('{{ plan.code }}', 16))::bit(64)::bigint
            union all
            select 'shape', '(shape)', 0::oid, ('x' || left('{{ plan.shape }}', 16))::bit(64)::bigint
            union all
            select 'self', '(self)', coalesce(to_regclass('{{ converge.changes_relation(target) }}')::oid, 0::oid), 0
        ),

        target as (
            select oid, relkind from pg_class where oid = to_regclass('{{ target.include(database=false) }}')
        )

        select
            now_at.kind,
            now_at.input,
            now_at.input_oid::bigint as input_oid,
            -- An older run that comes late never takes a table back.
            case when now_at.kind = 'landed' and seen.bound > now_at.bound then seen.bound else now_at.bound end as bound,
            seen.input_oid::bigint as seen_oid,
            seen.bound as seen,
            target.oid::bigint as target_oid,
            target.relkind::text as target_kind
        from now_at
        left join target on true
        left join {{ inputs }} as seen on target.oid = seen.relation and now_at.input = seen.input
    {%- endcall -%}
    {{ return(load_result('converge_state').table.rows) }}
{%- endmacro %}
