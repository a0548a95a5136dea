{% macro repoint(readers) -%}
    {#- Part of `switch_shapes`: makes views of readers stand on what has the name now, and notes those that cannot. -#}
    {%- for reader in readers %}
    begin
        execute {{ converge.literal(reader.statement) }};
    exception
        when lock_not_available or deadlock_detected then raise;
        when others then
            in_the_way := array_append(in_the_way, {{ converge.literal('the view ' ~ reader.name) }} || ' (' || sqlerrm || ')');
    end;
    {%- endfor %}
{%- endmacro %}
