{% test every_judged_table_has_a_row(model) %}
{#- Fails with each judged table that the seed names not once. -#}
with judged as (

    {% for source, table in judged_tables() %}
    select
        '{{ source }}' as source,
        '{{ table }}' as table_name
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

named as (

    select
        source,
        table_name,
        count(*) as seed_rows
    from {{ model }}
    group by source, table_name

)

select
    coalesce(judged.source, named.source) as source,
    coalesce(judged.table_name, named.table_name) as table_name,
    named.seed_rows
from judged
full outer join named
    on judged.source = named.source and judged.table_name = named.table_name
where judged.source is null or named.seed_rows is distinct from 1
{% endtest %}
