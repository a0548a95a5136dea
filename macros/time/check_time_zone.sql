{% macro check_time_zone(zone) -%}
    {#-
        PostgreSQL itself takes more for a zone: `BRT-3` is three hours east for it, `CET` has no summer, `localtime` is whatever its
        server has. A name of the IANA's that has an area is none of these.
    -#}
    {%- if execute and zone != 'UTC' -%}
        {%- set name = "'" ~ (zone | string).replace("'", "''") ~ "'" -%}
        {%- set places -%}
            select
                name,
                name = {{ name }} as is_it
            from pg_timezone_names
            where
                name like '%/%'
                and name !~ '^(posix|right)/'
                and lower(split_part(name, '/', -1)) = lower(replace(split_part({{ name }}, '/', -1), ' ', '_'))
            order by is_it desc, name
        {%- endset -%}
        {%- set found = run_query(places).rows -%}
        {%- if not found or not found[0].is_it -%}
            {{ exceptions.raise_compiler_error(
                "The variable reporting_time_zone is '" ~ zone ~ "': it must be UTC, or the IANA's name of a time zone with its area, such as "
                ~ (found | map('first') | join(' or ') or 'America/Sao_Paulo')
                ~ ". Nothing was built. Correct it in dbt_project.yml; docs/numbers.md says what it decides."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
