{% macro choose_mode(state) -%}
    {#-
        create       there is no table, watermark or log, or the model has another shape: a new table replaces the old one
        rebuild      it is unknown which rows changed (a seed or the code was edited, or a parent was created anew):
                     compute all rows and write the differences, so that models downstream stay incremental
        incremental  an input has new rows
        skip         no input has
    -#}
    {%- set ns = namespace(mode='skip') -%}
    {%- for row in state -%}
        {%- do converge.stop_if([
            (row.kind == 'landed' and not row.input_oid, row.input ~ " does not exist yet. Land it first, then run again."),
            (row.kind == 'landed' and row.bound is none,
                "There is no run bound: the ledger " ~ var('converge_ledger', 'raw.loads') ~ " does not exist, or converge's on-run-start hook did not run."),
            (row.kind == 'changes' and row.bound is none,
                row.input ~ " has no converging table yet. Build it first: dbt build --select +" ~ model.name),
        ]) -%}
        {%- set is_other_input = row.seen is none or row.seen_oid != row.input_oid -%}
        {%- set is_other_value = row.bound != row.seen -%}
        {%- if should_full_refresh() or row.target_kind != 'r' or (row.kind == 'self' and is_other_input) or (row.kind == 'shape' and is_other_value) -%}
            {%- set ns.mode = 'create' -%}
        {%- elif ns.mode != 'create' and (is_other_input or (row.kind in ('code', 'seed') and is_other_value)) -%}
            {%- set ns.mode = 'rebuild' -%}
        {%- elif ns.mode == 'skip' and row.kind in ('landed', 'changes') and row.bound > row.seen -%}
            {%- set ns.mode = 'incremental' -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ns.mode) }}
{%- endmacro %}
