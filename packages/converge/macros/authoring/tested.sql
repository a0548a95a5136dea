{% macro tested(relation, key, changed=none) -%}
    {#-
        For a test's `from` clause: in `dbt build`, the rows whose key changed in `changed` (by default the table itself)
        since the last successful run; in `dbt test`, all rows. Like `is_tested`, with one column, and cheaper if it is indexed.
    -#}
    {%- set changed = changed or relation -%}
    {%- set predicate = converge.is_tested(changed, key) -%}
    {%- if predicate | trim != 'true' and converge.is_indexed(relation, key) -%}
        ({{ converge.narrowed(relation, key, '(' ~ converge.tens(converge.changes_relation(changed), key) ~ ')') }})
    {%- else -%}
        (select * from {{ relation }} where {{ predicate }})
    {%- endif -%}
{%- endmacro %}
