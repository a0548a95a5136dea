{% macro landed_bound(relation, input) -%}
    {#-
        How far a source is read: up to the run's bound. In a target that the variable `converge_mirrors` names (for an audit)
        a table reads as far as the table that it mirrors: the one with the same name, in the schema with the prefix that
        the variable gives instead of the target's own.
    -#}
    {%- set run_bound = "(select bound from " ~ converge.state_table('runs') ~ " where run_id = '" ~ converge.run_id() ~ "')" -%}
    {%- set mirrors = var('converge_mirrors', {}) -%}
    {%- set prefix = target.schema ~ '_' -%}
    {%- if target.name not in mirrors or not relation.schema.startswith(prefix) -%}
        {{ return(run_bound) }}
    {%- endif -%}
    {%- set schemas = [mirrors[target.name] ~ relation.schema[prefix | length:], mirrors[target.name] ~ converge.state_schema()[prefix | length:]] -%}
    {%- set mirrored = api.Relation.create(schema=schemas[0], identifier=relation.identifier) -%}
    {%- set inputs = api.Relation.create(schema=schemas[1], identifier='inputs') -%}
    {{ return("coalesce((select bound from " ~ inputs ~ " where relation = to_regclass('" ~ mirrored ~ "') and input = '" ~ input.name ~ "'), " ~ run_bound ~ ")") }}
{%- endmacro %}
