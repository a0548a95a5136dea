{% macro postgres__load_csv_rows(model, agate_table) -%}
    {#- Rows of a batch are alike: the placeholders are written once for each row, where dbt's own calls a macro for each cell. -#}
    {%- set columns = get_seed_column_quoted_csv(model, agate_table.column_names) -%}
    {%- set row = '(' ~ (['%s'] * agate_table.column_names | length) | join(', ') ~ ')' -%}
    {%- set statements = [] -%}
    {%- for batch in agate_table.rows | batch(get_batch_size()) -%}
        {%- set values = [] -%}
        {%- for cells in batch -%}
            {%- do values.extend(cells) -%}
        {%- endfor -%}
        {%- do statements.append('insert into ' ~ this.render() ~ ' (' ~ columns ~ ') values ' ~ ([row] * batch | length) | join(', ')) -%}
        {%- do adapter.add_query(statements[-1], bindings=values, abridge_sql_log=true) -%}
    {%- endfor -%}
    {{ return(statements[0]) }}
{%- endmacro %}
