{% macro in_words(statement, errors, words) -%}
    {#-
        Runs a statement; one of these errors (PostgreSQL's names of conditions) is raised again with words for the
        author. Its state and its detail stay apart: who must not show values of rows can tell where they are.
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
            message = {{ dbt.string_literal(dbt.escape_single_quotes(words)) }} || ' (' || sqlerrm || ')',
            detail = converge_detail;
    end
    $converge$;
{%- endmacro %}
