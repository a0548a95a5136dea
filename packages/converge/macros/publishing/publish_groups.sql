{% macro publish_groups(names=none, compares=false, goes_forward=false) -%}
    {#- Publishes groups, all or these, one after the other. -#}
    {%- do converge.follow_inputs() if flags.WHICH == 'run-operation' -%}
    {%- set published = [] -%}
    {%- for group in converge.named_groups(names) -%}
        {%- if converge.publish_group(group, compares, goes_forward) -%}{%- do published.extend(group.published) -%}{%- endif -%}
    {%- endfor -%}
    {%- do converge.trim_undo() -%}
    {%- if flags.WHICH == 'run-operation' -%}
        {%- do converge.trim_logs(published) -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
