{% macro bind_touched(plan, state, mode) -%}
    {#- The `touched` query over the changes of each parent that this table has not read; over no rows in any mode but `incremental`, where only its columns matter. -#}
    {%- set ns = namespace(sql=plan.touched_by) -%}
    {%- for row in state if row.kind == 'changes' -%}
        {%- set unseen = '_version > ' ~ row.seen ~ ' and _version <= ' ~ row.bound if mode == 'incremental' else 'false' -%}
        {%- set ns.sql = ns.sql | replace('@changes ' ~ row.input ~ '@', unseen) -%}
    {%- endfor -%}
    select distinct {{ plan.touched | join(', ') }} from (
        {{ ns.sql }}
    ) as touched
    where {{ converge.each(plan.touched, '{} is distinct from null', ' and ') }}
{%- endmacro %}
