{% macro changes_relation(relation) -%}
    {#-
        The log of a converging table: tracked columns of its changed rows, old and new, and the version that changed them.
        Where `__` would not tell the schema from the table (a.b__c and a__b.c), a hash of both does.
    -#}
    {%- set schema, identifier = relation.schema | string, relation.identifier | string -%}
    {%- set is_clear = '__' not in schema and not schema.endswith('_') and not identifier.startswith('_') -%}
    {{ return(converge.state_table(converge.short_name(schema ~ '__' ~ identifier ~ ('' if is_clear else '__' ~ local_md5(tojson([schema, identifier])))))) }}
{%- endmacro %}
