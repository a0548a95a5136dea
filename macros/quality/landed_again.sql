{% macro landed_again(ledger) -%}
    {#-
        Each load of a file that was landed again, because its contents had changed, with the last load of it. A line that was
        refused is put right when its file is, by its key or without it: the key itself may have been wrong. One that is
        still wrong has landed, and counts, again.
    -#}
    {%- set sources = [] -%}
    {%- for landed in landed_tables() if landed.meta.get('connector') == 'files' -%}
        {%- do sources.append("'" ~ landed.source ~ "'") -%}
    {%- endfor -%}
    select
        loads.load_id,
        max(later.load_id) as last_load_id
    from {{ ledger }} as loads
    inner join {{ ledger }} as later
        on
            loads.source = later.source
            and loads.table_name = later.table_name
            and loads.partition = later.partition
            and loads.load_id < later.load_id
    where loads.source in ({{ sources | unique | join(', ') or "''" }})
    group by loads.load_id
{%- endmacro %}
