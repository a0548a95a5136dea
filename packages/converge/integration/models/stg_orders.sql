{# Grain: one row per order, its latest version; a deleted order stays as a tombstone. #}
{{ config(unique_key='order_id', incremental_strategy='upsert') }}

select * from {{ ref('landed_orders') }}
