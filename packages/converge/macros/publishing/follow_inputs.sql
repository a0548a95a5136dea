{% macro follow_inputs() -%}
    {#-
        Narrows what the groups are built from to what their tables have read. For dbt's graph what only a hook names is a
        parent too, such as what a quality gate looks at: it may stand at another position, and its tests are not theirs.
        Of a table that is not there yet the graph says all.
    -#}
    {%- set publications = converge.publications() -%}
    {%- set nodes = publications.nodes -%}
    {%- set read = {} -%}
    {%- for row in run_query("
        select nspname || '.' || relname as reader, input
        from " ~ converge.state_table('inputs') ~ " inner join pg_class on pg_class.oid = relation inner join pg_namespace on pg_namespace.oid = relnamespace
    ").rows -%}
        {%- do read.setdefault(row.reader, []).append(row.input) -%}
    {%- endfor -%}
    {%- for id, entry in nodes.items() if entry.materialized == 'converging' and entry.place in read -%}
        {%- set inputs = [] -%}
        {%- for parent in converge.read_by(id, nodes) if parent not in nodes or nodes[parent].place in read[entry.place] -%}
            {%- do inputs.append(parent) -%}
        {%- endfor -%}
        {%- do entry.update({'inputs': inputs}) -%}
    {%- endfor -%}
    {%- set all = {} -%}
    {%- for group in publications.groups.values() -%}
        {%- set found, tables = {}, [] -%}
        {%- for id in group.published -%}{%- do converge.ancestors(id, nodes, found) -%}{%- endfor -%}
        {%- for id in found if id in nodes -%}
            {%- do tables.append(id) if nodes[id].materialized == 'converging' -%}
            {%- do converge.own(id, nodes, all) -%}
        {%- endfor -%}
        {%- do group.update({'tables': tables}) -%}
        {%- do all.update(found) -%}
    {%- endfor -%}
    {%- do publications.update({'all': all}) -%}
{%- endmacro %}
