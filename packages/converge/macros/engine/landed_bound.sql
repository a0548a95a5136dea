{% macro landed_bound(relation, input) -%}
    {#-
        How far a source is read: up to the run's bound. A target named in the var `converge_mirrors` (an audit's) reads as far
        as the table that it mirrors has: the one of the same name in the schema without the target's prefix.
    -#}
    {%- set state = converge.state_schema() -%}
    {%- set run_bound = "(select bound from " ~ state ~ ".runs where run_id = '" ~ converge.run_id() ~ "')" -%}
    {%- if target.name not in var('converge_mirrors', ['audit']) -%}
        {{ return(run_bound) }}
    {%- endif -%}
    {%- set prefix = (relation.schema | length) - (config.get('schema') | length) -%}
    {{ return("coalesce((
        select bound from " ~ state[prefix:] ~ ".inputs
        where
            relation = to_regclass('" ~ relation.schema[prefix:] ~ "." ~ relation.identifier ~ "')
            and input = '" ~ input.relation.schema ~ "." ~ input.relation.identifier ~ "'
    ), " ~ run_bound ~ ")") }}
{%- endmacro %}
