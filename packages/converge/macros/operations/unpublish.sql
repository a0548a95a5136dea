{% macro unpublish(group='all', to=none) -%}
    {#-
        For `dbt run-operation`: takes what readers see of a group back to an earlier publication (a number from the table
        `publications`; by default the one before), in one transaction. It stays so until `republish`.
    -#}
    {%- do converge.stop_if([(group is not string, "converge.unpublish takes one group: {group: …, to: …}.")]) -%}
    {%- set group = converge.named_groups(group)[0] -%}
    {%- call statement() -%}
        begin;
        lock table {{ converge.state_table('published') }} in share row exclusive mode
    {%- endcall -%}
    {%- set relations = converge.describe_published(group, follows=false) -%}
    {%- set history = converge.read_history(group, relations) -%}
    {%- set words, earlier = [], [] -%}
    {%- for one in history.kept -%}
        {%- do words.append(one.publication ~ ' (up to position ' ~ one.bound ~ ', ' ~ (one.published_at | string)[:19] ~ ')') -%}
        {%- do earlier.append(one.publication) if history.publication is not none and one.publication < history.publication -%}
    {%- endfor -%}
    {%- set to = to | int if to is not none else earlier[-1] if earlier else none -%}
    {%- set kept = 'Kept are: ' ~ words | join(', ') ~ '. A publication is kept for converge_undo_days (' ~ var('converge_undo_days', 0) ~ ' here), until a table or view of its group takes another shape, or until converge.forget_undo.' -%}
    {%- do converge.stop_if([
        (not history.kept, group.name ~ " was never published."),
        (not history.is_whole, "The published relations of " ~ group.name ~ " are not what they were when they were last published: a table, a column or an index was changed there. They cannot be taken back."),
        (to is none, "No earlier publication of " ~ group.name ~ " is kept. " ~ kept),
        (to not in history.kept | map(attribute='publication'), "Publication " ~ to ~ " of " ~ group.name ~ " is not kept. " ~ kept),
    ]) -%}
    {%- do converge.move_publication(group, history, to, relations, is_back=true) -%}
    {%- do adapter.commit() -%}
    {%- do log('taken back: ' ~ group.name ~ ' to publication ' ~ to ~ '. Nothing more is published of it until dbt run-operation converge.republish.', info=true) -%}
{%- endmacro %}
