{% macro changes_relation(relation, prefix='') -%}
    {#-
        The log of a converging table: tracked columns of its changed rows, old and new, and the version that changed them.
        Where `__` would not tell the schema from the table (a.b__c and a__b.c), a hash of both does. A prefix (`undo__`)
        is for another log of the same table.
    -#}
    {%- set schema, identifier = relation.schema | string, relation.identifier | string -%}
    {%- set is_clear = '__' not in schema and not schema.endswith('_') and not identifier.startswith('_') and (prefix or schema != 'undo') -%}
    {{ return(converge.state_table(converge.short_name(prefix ~ schema ~ '__' ~ identifier ~ ('' if is_clear else '__' ~ local_md5(tojson([schema, identifier])))))) }}
{%- endmacro %}
