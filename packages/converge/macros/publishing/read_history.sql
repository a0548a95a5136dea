{% macro read_history(group, relations) -%}
    {#-
        Which publication of a group stands (`publication`) and whether it was taken back (`taken_back_at`); those that are
        kept, oldest first (`kept`), and their greatest number (`latest`); the number of the next one (`next`). None is kept
        (`is_whole` is false) when the published relations are not what they were: then going back would not bring back what
        stood. Under the publisher's lock.
    -#}
    {%- set kept = [] -%}
    {%- set history = {'publication': none, 'taken_back_at': none, 'shape': converge.published_shape(relations), 'kept': kept, 'next': 1} -%}
    {%- for row in run_query("
        select
            (select coalesce(max(publication), 0) + 1 from " ~ converge.state_table('publications') ~ ") as next,
            published.publication as stands,
            published.taken_back_at,
            kept.publication,
            kept.bound,
            kept.published_at,
            kept.shape
        from (values (" ~ converge.literal(group.name) ~ ")) as asked (group_name)
        left join " ~ converge.state_table('published') ~ " as published using (group_name)
        left join " ~ converge.state_table('publications') ~ " as kept using (group_name)
        order by kept.publication
    ").rows -%}
        {%- do history.update({'publication': row.stands | int if row.stands is not none else none, 'taken_back_at': row.taken_back_at, 'next': row.next | int}) -%}
        {%- do kept.append({'publication': row.publication | int, 'bound': row.bound, 'published_at': row.published_at, 'shape': row.shape}) if row.publication is not none -%}
    {%- endfor -%}
    {%- set others = kept | map(attribute='shape') | reject('equalto', history.shape) | list -%}
    {%- do history.update({'is_whole': kept != [] and others == [], 'latest': kept[-1].publication if kept}) -%}
    {{ return(history) }}
{%- endmacro %}
