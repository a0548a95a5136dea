{% macro choose_mode(state) -%}
    {#
        create       no table, no watermark, or another shape: build it anew and swap it in
        rebuild      the inputs cannot be compared (a seed or the code was edited, a parent was rebuilt):
                     compute everything and write only the differences, so that readers stay incremental
        incremental  some input has moved
        skip         none has
    #}
    {%- set ns = namespace(mode='skip') -%}
    {%- for row in state -%}
        {%- if row.kind != 'self' and row.bound is none -%}
            {{ exceptions.raise_compiler_error(
                "There is no run bound: converge's on-run-start hook did not run." if row.kind == 'landed'
                else row.input ~ " has no converging table yet. Build it first: dbt build --select +" ~ model.name
            ) }}
        {%- elif row.kind == 'landed' and not row.input_oid -%}
            {{ exceptions.raise_compiler_error(row.input ~ " does not exist yet. Land it first, then run again.") }}
        {%- endif -%}
        {%- if should_full_refresh() or row.target_kind != 'r' or (row.kind == 'self' and row.seen is none) or (row.kind == 'shape' and row.bound != row.seen) -%}
            {%- set ns.mode = 'create' -%}
        {%- elif ns.mode != 'create' and row.kind != 'self' and (row.seen is none or row.seen_oid != row.input_oid or (row.kind in ('code', 'seed') and row.bound != row.seen)) -%}
            {%- set ns.mode = 'rebuild' -%}
        {%- elif ns.mode == 'skip' and row.kind in ('landed', 'changes') and row.bound > row.seen -%}
            {%- set ns.mode = 'incremental' -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ns.mode) }}
{%- endmacro %}
