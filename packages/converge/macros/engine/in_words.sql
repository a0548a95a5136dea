{% macro in_words(statement, errors, words) -%}
    {#- Runs a statement. If it fails with one of these errors (PostgreSQL's names of conditions), the error has a message for the author. -#}
    do $converge$
    declare
        converge_detail text;
    begin
        execute $statement$ {{ statement }} $statement$;
    exception when {{ errors }} then
        get stacked diagnostics converge_detail = pg_exception_detail;
        raise exception using message = {{ converge.literal(words) }} || concat_ws('. ', ' (' || sqlerrm, nullif(converge_detail, '')) || ')';
    end
    $converge$;
{%- endmacro %}
