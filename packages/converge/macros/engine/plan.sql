{% macro plan(sql) -%}
    {#
        Everything that the model says about itself, checked: its key, its strategy, what touches it, what it reads.
        A misuse stops here, with words, before anything is written.
    #}
    {%- set re = modules.re -%}
    {%- set key = config.get('unique_key') -%}
    {%- if not key -%}
        {{ exceptions.raise_compiler_error("A converging model needs `unique_key`: the columns of its grain.") }}
    {%- endif -%}
    {%- set key = [key] if key is string else key -%}
    {%- set strategy = config.get('incremental_strategy') or 'replace_keys' -%}
    {%- if strategy not in ('upsert', 'replace_keys') -%}
        {{ exceptions.raise_compiler_error("incremental_strategy is `upsert` or `replace_keys`, not `" ~ strategy ~ "`.") }}
    {%- endif -%}

    {%- set blocks = re.findall('(?s)/[*]@touched (.*?):(.*?)@touched[*]/', sql) -%}
    {%- if strategy == 'replace_keys' and blocks | length != 1 -%}
        {{ exceptions.raise_compiler_error("A `replace_keys` model needs one `{% call converge.touched('key') %} … {% endcall %}` block: the keys that a change of its inputs touches.") }}
    {%- elif strategy == 'upsert' and blocks -%}
        {{ exceptions.raise_compiler_error("An `upsert` model reads `converge.landed(source(…))` and has no `touched` block.") }}
    {%- endif -%}
    {%- if strategy == 'replace_keys' and '/*@is_touched ' not in sql -%}
        {{ exceptions.raise_compiler_error("No input is narrowed by `converge.is_touched(…)`: every run would read all of history.") }}
    {%- endif -%}

    {%- set inputs = [] -%}
    {%- for parent in converge.table_parents(model) -%}
        {%- set relation = api.Relation.create(database=parent.database, schema=parent.schema, identifier=parent.get('alias') or parent.identifier) -%}
        {%- if parent.resource_type == 'source' -%}
            {%- set kind = 'landed' -%}
        {%- elif parent.resource_type == 'seed' -%}
            {%- set kind = 'seed' -%}
            {%- if not load_cached_relation(relation) -%}
                {{ exceptions.raise_compiler_error("The seed " ~ parent.name ~ " is not loaded yet. Load it first: dbt seed --select " ~ parent.name) }}
            {%- endif -%}
        {%- elif parent.config.materialized == 'converging' -%}
            {%- set kind = 'changes' -%}
        {%- else -%}
            {{ exceptions.raise_compiler_error(parent.name ~ " is " ~ parent.config.materialized ~ ", not converging: this model could not know which of its rows changed. Make it converging, ephemeral or a seed.") }}
        {%- endif -%}
        {%- if kind != 'seed' and '@' ~ kind ~ ' ' ~ relation ~ (' by ' if kind == 'landed' else '@') not in sql -%}
            {{ exceptions.raise_compiler_error(
                "Its changes would go unseen: read the source " ~ parent.name ~ " through `converge.landed(source(…))`." if kind == 'landed'
                else "Its changes would go unseen: name `converge.changes(ref('" ~ parent.name ~ "'))` in the `touched` block."
            ) }}
        {%- endif -%}
        {%- if kind == 'landed' and strategy == 'replace_keys' -%}
            {{ exceptions.raise_compiler_error("A `replace_keys` model reads whole keys, and the source " ~ parent.name ~ " has only what landed. Stage it first with an `upsert` model.") }}
        {%- endif -%}
        {%- do inputs.append({'kind': kind, 'relation': relation}) -%}
    {%- endfor -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- set plan = {
        'key': key,
        'strategy': strategy,
        'version': meta.get('version', ['_version_at', '_load_id', '_row']) if strategy == 'upsert' else [],
        'track': (key + meta.get('track', [])) | unique | list,
        'touched_columns': blocks[0][0].split(', ') if blocks else [],
        'touched_sql': blocks[0][1] if blocks else none,
        'inputs': inputs,
    } -%}
    {%- set contract = [] -%}
    {%- if config.get('contract').enforced -%}
        {%- for column in model.columns.values() -%}
            {%- do contract.append([column.name, column.data_type, column.constraints]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- do plan.update({
        'code': local_md5(sql),
        'shape': local_md5(tojson([key, strategy, plan.version, plan.track, config.get('indexes', []), config.get('unlogged', false), contract])),
    }) -%}
    {{ return(plan) }}
{%- endmacro %}
