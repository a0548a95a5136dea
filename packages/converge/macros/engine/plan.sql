{% macro plan(target, sql) -%}
    {#
        Everything that the model says about itself: its key, its strategy, its `touched` block, its inputs.
        A mistake in it stops the model here with a message, before anything is written.
    #}
    {%- set re = modules.re -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- set key = converge.as_list(config.get('unique_key')) -%}
    {%- set strategy = config.get('incremental_strategy') or 'replace_keys' -%}
    {%- set blocks = re.findall('(?s)/[*]@touched (.*?):(.*?)@touched[*]/', sql) -%}
    {%- set touched = blocks[0][0].split(', ') if blocks else [] -%}
    {%- set bare = re.sub('(?s)/[*]@touched .*?@touched[*]/', '', sql) -%}
    {%- set narrowed = re.findall('/[*]@is_touched ([0-9]+) ', bare) -%}
    {#- A model that reads nothing, such as a calendar, has nothing that could touch it. -#}
    {%- set follows = strategy == 'replace_keys' and model.depends_on.nodes | length > 0 -%}
    {%- do converge.stop_if([
        (invocation_args_dict.get('empty') or invocation_args_dict.get('sample'),
            "A converging table holds all there is: with --empty or --sample rows would be missing that its watermark counts as read."),
        (config.get('unlogged'), "A converging table is never unlogged: a crash would empty it, and its watermark would say that all was read."),
        (target.identifier.encode('utf-8') | length > 63 or target.schema.encode('utf-8') | length > 63,
            "PostgreSQL cuts a name at 63 bytes, and two could become one: " ~ target.schema ~ '.' ~ target.identifier ~ " has " ~ target.schema.encode('utf-8') | length ~ " and " ~ target.identifier.encode('utf-8') | length ~ ". Give the model a shorter `alias` or `schema`."),
        (not key, "A converging model needs `unique_key`: the columns of its grain."),
        (strategy not in ('upsert', 'replace_keys'), "incremental_strategy is `upsert` or `replace_keys`, not `" ~ strategy ~ "`."),
        (follows and blocks | length != 1,
            "A `replace_keys` model needs one `{% call converge.touched('key') %} … {% endcall %}` block, which gives the keys that a change of its inputs touches. It has " ~ blocks | length ~ "."),
        (strategy == 'upsert' and blocks, "An `upsert` model reads `converge.landed(source(…))` and has no `touched` block."),
        (follows and not narrowed, "No input is narrowed by `converge.touched_rows(ref(…), …)`: every run would read all rows."),
        (strategy == 'replace_keys' and narrowed | map('int') | select('gt', touched | length) | list,
            "A `converge.touched_rows(…)` or `converge.is_touched(…)` names more columns than the `touched` block. They must match its columns, in this order: " ~ touched | join(', ') ~ "."),
        ('_version' in converge.as_list(meta.get('track')) + key, "The log of changes has a column _version of its own: give the model's another name."),
        ('@changes ' in bare, "`converge.changes(…)` belongs in the `touched` block; elsewhere read the model itself: ref(…)."),
    ]) -%}

    {%- set plan = {
        'key': key,
        'strategy': strategy,
        'version': converge.as_list(meta.get('version', ['_version_at', '_load_id', '_row'])) if strategy == 'upsert' else [],
        'track': (key + converge.as_list(meta.get('track'))) | unique | list,
        'touched': touched,
        'touched_by': blocks[0][1] if blocks else none,
        'probe_table': converge.beside(target, 'probe'),
        'touched_table': converge.beside(target, 'touched'),
        'tens_table': converge.beside(target, 'tens'),
        'sql': bare,
        'inputs': converge.inputs(sql, strategy),
    } -%}
    {%- do plan.update({
        'code': local_md5(sql),
        'shape': local_md5(tojson([key, strategy, plan.version, plan.track, touched, config.get('indexes', []), converge.contract_columns()])),
    }) -%}
    {{ return(plan) }}
{%- endmacro %}
