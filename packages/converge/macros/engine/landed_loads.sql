{% macro landed_loads(state) -%}
    {#-
        For each source, the condition on a load's id, `{}`, that says which loads an incremental run reads: those whose
        positions in the ledger lie above where the table stopped, up to the bound. The ids are literals, so that the planner
        knows how few rows are asked for, in ranges of which every id is one of them: a load that is not over when the run
        begins may have any id, and lies in none.
    -#}
    {%- set conditions, asked = {}, {} -%}
    {%- for row in state if row.kind == 'landed' -%}
        {%- set positions = [row.seen, row.bound] | join(' ') -%}
        {%- if positions not in asked -%}
            {%- set ranges = run_query("
                select min(load_id) as first, max(load_id) as last
                from (
                    select load_id, load_id - row_number() over (order by load_id) as stretch
                    from (" ~ converge.ledger() ~ ") as ledger
                    where position > " ~ row.seen ~ " and position <= " ~ row.bound ~ "
                ) as loads
                group by stretch
                order by first
            ").rows -%}
            {%- set alternatives = [] -%}
            {%- for range in ranges -%}
                {%- do alternatives.append('{} between ' ~ range.first ~ ' and ' ~ range.last) -%}
            {%- endfor -%}
            {%- do asked.update({positions: '(' ~ (alternatives | join(' or ') or 'false') ~ ')'}) -%}
        {%- endif -%}
        {%- do conditions.update({row.input: asked[positions]}) -%}
    {%- endfor -%}
    {{ return(conditions) }}
{%- endmacro %}
