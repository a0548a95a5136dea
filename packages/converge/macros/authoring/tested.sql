{% macro tested(relation, key, changed=none) -%}
    {#-
        For a test's `from`: in a run, the rows whose key is of those that `changed` (the table itself, by default) since the
        last run that ended well; in `dbt test`, all. As `is_tested`, of one column, and cheaper where that has an index.
    -#}
    {%- set changed = changed or relation -%}
    {%- set predicate = converge.is_tested(changed, key) -%}
    {%- if predicate | trim != 'true' and converge.is_indexed(relation, key) -%}
        ({{ converge.narrowed(relation, key, '(' ~ converge.tens(converge.changes_relation(changed), key) ~ ')') }})
    {%- else -%}
        (select * from {{ relation }} where {{ predicate }})
    {%- endif -%}
{%- endmacro %}
