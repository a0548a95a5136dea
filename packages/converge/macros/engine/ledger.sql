{% macro ledger() -%}
    {#- The ledger: each load's id, and its position in the order of commits. -#}
    select {{ var('converge_ledger_column', 'load_id') }} as load_id, {{ var('converge_ledger_position', 'position') }} as position
    from {{ var('converge_ledger', 'raw.loads') }}
{%- endmacro %}
