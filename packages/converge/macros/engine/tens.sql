{% macro tens(relation, column) -%}
    {#- The distinct values of a column, in arrays of ten neighbours: see `narrowed`. -#}
    select array_agg(key) as keys from (
        select key, (row_number() over (order by key) - 1) / 10 as ten
        from (select distinct {{ column }} as key from {{ relation }}) as distinct_keys
    ) as numbered
    group by ten
{%- endmacro %}
