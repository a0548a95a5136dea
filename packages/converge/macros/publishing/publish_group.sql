{% macro publish_group(group, compares=false, goes_forward=false) -%}
    {#-
        Publishes a group, or says why not. True if it did. All in one transaction, which its readers see at once:
        1. look at the built side as it is at one moment (`open_publication`)
        2. is it whole and tested, and not taken back? (`what_stands`)
        3. write the rows that differ, and new tables beside those of another shape: nobody waits for that
        4. put the new tables and views in the place of the old ones: this waits for readers (`switch_shapes`)
        5. comments and grants
        6. note what stands published now (`note_published`)
    -#}
    {%- set nodes = converge.publications().nodes -%}
    {%- set absent = converge.open_publication(group) -%}
    {%- if absent -%}
        {{ return(converge.hold_back(group, absent ~ ' is not built yet')) }}
    {%- endif -%}
    {%- set standing = converge.what_stands(group) -%}
    {%- set relations = converge.describe_published(group) -%}
    {%- set history = converge.read_history(group, relations) -%}
    {#- Readers are not shown again what they were taken back from, unless what is built now takes its place at once. -#}
    {%- set stays_back = [converge.taken_back_words(history.publication)] if history.taken_back_at else [] -%}
    {%- set reasons = standing.reasons + [] -%}
    {%- for id in group.published if relations[id].shown_kind not in (none, 'v' if id in group.views else 'r') -%}
        {%- do reasons.append(relations[id].shown ~ ' is no ' ~ ('view' if id in group.views else 'table') ~ ': drop it, or publish ' ~ nodes[id].name ~ ' into another schema') -%}
    {%- endfor -%}
    {%- if reasons or (stays_back and not goes_forward) -%}
        {{ return(converge.hold_back(group, (reasons + stays_back) | join('; '))) }}
    {%- endif -%}

    {%- set said, changed, new_tables, views, definitions = [], [], [], [], {} -%}
    {%- call statement() -%}
        {{ converge.name_in_full(false) }}
        savepoint converge
    {%- endcall -%}
    {%- if stays_back -%}
        {%- do converge.move_publication(group, history, history.latest, relations) -%}
        {%- set relations = converge.describe_published(group) -%}
    {%- endif -%}
    {%- for id in group.published if id not in group.views -%}
        {%- set relation = relations[id] -%}
        {%- if relation.shown_oid is none -%}
            {%- do said.append(relation.name ~ ' ' ~ converge.publish_copy(relation, relation.shown)) -%}
        {%- elif not relation.is_alike -%}
            {%- do said.append(relation.name ~ ' ' ~ converge.publish_copy(relation, converge.beside_shown(relation, 'publishing')) ~ ', of another shape') -%}
            {%- do new_tables.append(id) -%}
        {%- elif compares or not relation.is_current -%}
            {%- set counts = converge.publish_rows(id, relation, compares, history) -%}
            {%- do changed.append(id) if counts[0] + counts[1] and not relation.is_current -%}
            {%- do said.append(relation.name ~ ' +' ~ counts[0] ~ ' -' ~ counts[1]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for id in group.views -%}
        {%- set relation = relations[id] -%}
        {%- do definitions.update({id: converge.published_definition(relation.definition, relations)}) -%}
        {%- set is_replaced = converge.read_by(id, nodes) | select('in', new_tables + views) | list -%}
        {%- if is_replaced or relation.shown_definition != definitions[id] or relation.shown_options != relation.options -%}
            {%- do views.append(id) -%}
            {%- do said.append(relation.name ~ ' defined') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if new_tables + views -%}
        {%- set in_the_way = converge.switch_shapes(new_tables, views, relations, definitions) -%}
        {%- set reasons = ['its shape changed and in the way is ' ~ in_the_way ~ ': drop or change that'] if in_the_way else converge.check_views(views, relations) -%}
        {%- if reasons -%}
            {%- call statement() -%}rollback to savepoint converge{%- endcall -%}
            {{ return(converge.hold_back(group, (reasons + stays_back) | join('; '))) }}
        {%- endif -%}
    {%- endif -%}

    {%- set is_new = relations.values() | selectattr('shown_oid', 'none') | list -%}
    {%- if new_tables or views or is_new or relations.values() | rejectattr('has_comments') | list -%}
        {%- do converge.carry_comments(relations) -%}
    {%- endif -%}
    {%- for id in group.published if not converge.has_grants(relations[id], nodes[id].grants) -%}
        {%- do apply_grants(nodes[id].published, nodes[id].grants, should_revoke=true) -%}
    {%- endfor -%}
    {%- do converge.note_published(group, standing, relations, history, said, changed, new_tables or views or is_new) -%}
    {{ return(true) }}
{%- endmacro %}
