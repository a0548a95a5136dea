{% macro is_indexed(relation, column) -%}
    {#- True when a table has an index that begins with the column. An array is no element of an array (see `tens`). -#}
    {%- set found = run_query(
        "select 1 from pg_index as i inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
        ~ " inner join pg_type as t on t.oid = a.atttypid and t.typcategory != 'A'"
        ~ " inner join pg_class as c on c.oid = i.indexrelid inner join pg_am on pg_am.oid = c.relam"
        ~ " where i.indrelid = to_regclass(" ~ converge.literal(relation) ~ ") and quote_ident(a.attname) = " ~ converge.literal(column)
        ~ " and i.indisvalid and i.indpred is null and pg_am.amname = 'btree'"
    ) -%}
    {{ return(found.rows | length > 0) }}
{%- endmacro %}
