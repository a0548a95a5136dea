{% macro forget_undo() -%}
    {#-
        For `dbt run-operation`, after a person was erased and the erasure was published: drops the rows that publications
        replaced, of all groups. No earlier publication can be taken back to any more.
    -#}
    {%- set publications = converge.publications() -%}
    {%- set published, kept = converge.state_table('published'), converge.state_table('publications') -%}
    {%- set names = ["null::oid"] -%}
    {%- for group in converge.named_groups() -%}
        {%- for id in group.published -%}{%- do names.append('to_regclass(' ~ converge.literal(publications.nodes[id].published) ~ ')::oid') -%}{%- endfor -%}
    {%- endfor -%}
    {%- call statement('converge_taken_back', fetch_result=true) -%}
        begin;
        lock table {{ published }} in share row exclusive mode;
        do $converge$
        declare
            log text;
        begin
            {{ converge.drop_undo_logs() }}
        end
        $converge$;
        delete from {{ kept }} where publication not in (select publication from {{ published }} where publication is not null);
        -- Of a group that is taken back: it is compared whole when it is published again.
        delete from {{ converge.state_table('inputs') }} where bound < 0 and relation in ({{ names | join(', ') }});
        select group_name from {{ published }} where taken_back_at is not null order by group_name
    {%- endcall -%}
    {%- set taken_back = load_result('converge_taken_back').table.columns['group_name'].values() -%}
    {%- do adapter.commit() -%}
    {%- do log('forgotten: all rows that publications replaced', info=true) -%}
    {%- for name in taken_back -%}
        {%- do log(name ~ ' is taken back: its readers still see rows from before. To end that: dbt run-operation converge.republish', info=true) -%}
    {%- endfor -%}
{%- endmacro %}
