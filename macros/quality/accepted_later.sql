{% macro accepted_later(source, table, staging) -%}
    {#-
        The load of the version that staging has of a `refused` record's key, when it is later than the refused one: by
        time of change, load and row; by load and row where the refused record has no time that can be read.
    -#}
    (
        select accepted._load_id
        from jsonb_populate_record(cast(null as {{ staging }}), refused.staging_key) as wanted
        inner join {{ staging }} as accepted
            on {% for column in converge.as_list(staging_node(source, table).config.unique_key) %}wanted.{{ column }} = accepted.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        where
            case
                when refused.version_at is null then (accepted._load_id, accepted._row) > (refused._load_id, refused._row)
                else ({{ staging_version_at(source, table, 'accepted') }}, accepted._load_id, accepted._row) > (refused.version_at, refused._load_id, refused._row)
            end
    )
{%- endmacro %}
