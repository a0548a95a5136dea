{% macro replication_slots() -%}
    {#- The slots of the warehouse's server, each with the WAL that the server keeps for it. Slots of a source's server are not seen from here. -#}
    (
        select
            slot_name,
            active,
            round(pg_wal_lsn_diff(
                case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn
            ) / 1048576, 1) as held_mb
        from pg_catalog.pg_replication_slots
        where restart_lsn is not null
    )
{%- endmacro %}
