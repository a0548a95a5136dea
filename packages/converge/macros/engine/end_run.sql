{% macro end_run() %}
{% if execute and flags.WHICH in ('run', 'build', 'retry') %}
    {% set schema = converge.state_schema() %}
    {# What every reader has consumed, and what describes a table that is gone, is history nobody needs. #}
    {% set behind = run_query("
        select own.relation::regclass::text as relation, min(coalesce(reader.bound, own.bound)) as consumed
        from " ~ schema ~ ".inputs as own
        left join " ~ schema ~ ".inputs as reader
            on own.relation = reader.input_oid and reader.relation != own.relation
        inner join pg_class as alive on own.relation = alive.oid
        where own.input = '(self)' and own.bound > 1
        group by own.relation
    ") %}
    {% call statement() %}
        delete from {{ schema }}.inputs where relation not in (select oid from pg_class);
        delete from {{ schema }}.runs where pinned_at < now() - interval '30 days';
        {% for row in behind.rows %}
            {% set parts = row['relation'].replace('"', '').split('.') %}
            {% set changes = converge.changes_relation(api.Relation.create(schema=parts[0], identifier=parts[-1])) %}
            delete from {{ changes }} where _version <= {{ row['consumed'] }};
        {% endfor %}
    {% endcall %}
    {% do adapter.commit() %}
{% endif %}
{% endmacro %}
