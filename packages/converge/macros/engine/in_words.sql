{% macro in_words(statement, errors, words) -%}
    {#-
        Runs a statement; one of these errors (PostgreSQL's names of conditions) is raised again with words for the
        author. It keeps its state and its detail, so a project that must not show values of rows can leave the detail out.
    -#}
    do $converge$
    declare
        converge_detail text;
        converge_state text;
    begin
        execute $statement$ {{ statement }} $statement$;
    exception when {{ errors }} then
        get stacked diagnostics converge_detail = pg_exception_detail, converge_state = returned_sqlstate;
        raise exception using
            errcode = converge_state,
            message = {{ converge.literal(words) }} || ' (' || sqlerrm || ')',
            detail = converge_detail;
    end
    $converge$;
{%- endmacro %}
