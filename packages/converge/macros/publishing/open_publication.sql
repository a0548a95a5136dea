{% macro open_publication(group) -%}
    {#-
        Begins the transaction of a publication. It sees the built side as it is at the moment of its first query, whoever
        builds meanwhile. One publisher at a time; and until it is over, no table or view that it looks at is replaced: what
        a newer transaction has put into a new table could not be seen. Returns names that are not there, if any are not;
        then it sees nothing. Makes the published schemas, if need be.
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {#- Logs first, as the run that replaces a table takes them. -#}
    {%- set logs, names, schemas = [], [], [] -%}
    {%- for id in group.tables -%}{%- do logs.append(nodes[id].log | string) -%}{%- endfor -%}
    {%- for id in group.tables + group.views -%}{%- do names.append(nodes[id].relation | string) -%}{%- endfor -%}
    {%- for id in group.published -%}{%- do schemas.append(nodes[id].published.without_identifier() | string) -%}{%- endfor -%}
    {%- set asked = [] -%}
    {%- for name in logs + names -%}{%- do asked.append('(' ~ converge.literal(name) ~ ', to_regclass(' ~ converge.literal(name) ~ ')::oid, false)') -%}{%- endfor -%}
    {%- for name in schemas | unique -%}{%- do asked.append('(' ~ converge.literal(name) ~ ', to_regnamespace(' ~ converge.literal(name) ~ ')::oid, true)') -%}{%- endfor -%}
    {%- set missing = run_query("select name, is_schema from (values " ~ asked | join(', ') ~ ") as asked (name, oid, is_schema) where oid is null order by name").rows -%}
    {%- call statement() -%}
        begin;
        {%- for row in missing if row.is_schema %}
        create schema if not exists {{ row.name }};
        commit;
        begin;
        {%- endfor %}
        set transaction isolation level repeatable read;
        -- Not a query yet: these fix nothing of what is seen.
        lock table {{ converge.state_table('published') }} in share row exclusive mode
        {%- if not missing | rejectattr('is_schema') | list %};
        lock table {{ (logs + names) | join(', ') }} in access share mode
        {%- endif %}
    {%- endcall -%}
    {{ return(missing | rejectattr('is_schema') | map(attribute='name') | join(', ')) }}
{%- endmacro %}
