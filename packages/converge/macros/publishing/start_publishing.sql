{% macro start_publishing() -%}
    {#-
        Makes the tables that publishing needs, if the project publishes, and notes what every relation holds as the run begins.
        Models may read these tables, so they are there too when this run does not publish.
    -#}
    {%- set asked = env_var('CONVERGE_PUBLISH', '') -%}
    {%- do converge.stop_if([(asked not in ('', 'at run end', 'later', 'never'), "CONVERGE_PUBLISH is " ~ asked ~ ". It must be `at run end`, `later` or `never`, or not set.")]) -%}
    {%- set publications = converge.publications() -%}
    {%- if publications.groups or asked == 'never' -%}
        {%- set tested, published, kept = converge.state_table('tested'), converge.state_table('published'), converge.state_table('publications') -%}
        {%- if not run_query("select to_regclass('" ~ kept ~ "')").rows[0][0] -%}
            {%- do converge.begin() -%}
            {%- do converge.take_lock('converge.start_run', 'the state of converge') -%}
            {%- call statement() -%}
                create table if not exists {{ tested }} (
                    relation text primary key,
                    state text not null,
                    -- What must still go well before this state is good: a node's id a line.
                    waits_for text not null,
                    run_id text not null,
                    code_version text not null,
                    tested_at timestamptz not null
                );
                create table if not exists {{ published }} (
                    group_name text primary key,
                    bound bigint,
                    run_id text,
                    code_version text,
                    published_at timestamptz,
                    held_back text,
                    held_back_at timestamptz
                );
                alter table {{ published }}
                    add column if not exists publication bigint,
                    add column if not exists taken_back_at timestamptz;
                comment on table {{ published }} is 'A row per group: up to which position of the ledger readers see it, and what holds back the next one.';
                create table if not exists {{ kept }} (
                    publication bigint primary key,
                    group_name text not null,
                    bound bigint,
                    run_id text,
                    code_version text,
                    published_at timestamptz not null,
                    -- What the published relations were then, and must be still: see `published_shape`.
                    shape text not null
                );
                comment on table {{ kept }} is 'A row per publication to which a group can be taken back, and the one that stands.';
            {%- endcall -%}
            {%- do adapter.commit() -%}
        {%- endif -%}
    {%- endif -%}
    {%- if publications.groups -%}
        {%- do converge.begin() -%}
        {%- for id, row in converge.relation_states(publications.judged.keys() | list).items() -%}
            {%- do publications.began.update({id: row.state}) -%}
        {%- endfor -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{%- endmacro %}
