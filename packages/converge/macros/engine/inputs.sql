{% macro inputs(sql, strategy) -%}
    {#-
        What the model reads, and how its changes reach it: `landed` (a source), `changes` (a converging model) or `seed`.
        A parent that only a hook names is built before the model and is not an input. With --defer a parent may be read from
        another target.
    -#}
    {%- set inputs = [] -%}
    {%- for parent in converge.table_parents(model) if converge.read_at(parent, sql) -%}
        {%- set place = converge.read_at(parent, sql) -%}
        {%- set relation = place.relation -%}
        {%- set name = converge.input_name(relation) -%}
        {%- set materialized = parent.config.get('materialized') -%}
        {%- set kind = 'landed' if parent.resource_type == 'source' else 'seed' if parent.resource_type == 'seed' else 'changes' -%}
        {%- set landed = '(select * from ' ~ place.read_as ~ ' /*@landed ' ~ name ~ ' by ' -%}
        {%- do converge.stop_if([
            (kind == 'seed' and not load_cached_relation(relation),
                "The seed " ~ parent.name ~ " is not loaded yet. Load it first: dbt seed --select " ~ parent.name),
            (kind == 'changes' and place.is_deferred,
                parent.name ~ " is read from " ~ name ~ " (--defer), whose changes are not logged in this target: they would be missed. Build it here first, or run without --defer."),
            (kind == 'changes' and materialized != 'converging',
                parent.name ~ " is " ~ materialized ~ ", not converging: this model could not know which of its rows changed. Make it converging, ephemeral or a seed."),
            (kind == 'changes' and strategy == 'upsert',
                "An `upsert` model reads landed rows only and cannot follow " ~ parent.name ~ ". Make it `replace_keys`."),
            (kind == 'changes' and '@changes ' ~ name ~ '@' not in sql,
                "Changes of " ~ parent.name ~ " would be missed: name `converge.changes(ref('" ~ parent.name ~ "'))` in the `touched` block."),
            (kind == 'landed' and strategy == 'replace_keys',
                "A `replace_keys` model reads all rows of a key, and of the source " ~ parent.name ~ " a run reads only new rows. Stage it first with an `upsert` model."),
            (kind == 'landed' and not modules.re.findall(place.pattern, sql) | length == sql.count(landed) > 0,
                "New rows would be missed or read again: read the source " ~ parent.name ~ " through `converge.landed(source(…))`, and only so."),
        ]) -%}
        {%- do inputs.append({
            'kind': kind,
            'name': name,
            'relation': relation,
            'read_as': place.read_as,
            'words': parent.name ~ ' (' ~ (converge.as_list(parent.config.get('unique_key')) + converge.as_list((parent.config.get('meta') or {}).get('track'))) | unique | join(', ') ~ ')',
        }) -%}
    {%- endfor -%}
    {{ return(inputs) }}
{%- endmacro %}
