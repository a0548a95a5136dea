{% macro landed_again(ledger) -%}
    {#-
        Each load of a file that was landed again, because its contents had changed, with the last load of it. A line without
        a usable key is no version of another one: it is put right when its file is.
    -#}
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
    where loads.source = 'stores'
    group by loads.load_id
{%- endmacro %}
