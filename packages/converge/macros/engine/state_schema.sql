{% macro state_schema() -%}
    {#- The project's `generate_schema_name` may read the node. The state has no node, so the macro is given one that looks like a model. Asked once an invocation, and kept in the graph as in `publications`. -#}
    {%- if 'converge_state_schema' in graph -%}{{ return(graph['converge_state_schema']) }}{%- endif -%}
    {%- set node = {
        'resource_type': 'model',
        'unique_id': 'model.converge.converge',
        'name': 'converge',
        'alias': 'converge',
        'version': none,
        'package_name': 'converge',
        'path': 'converge.sql',
        'original_file_path': 'models/converge.sql',
        'fqn': ['converge', 'converge'],
        'database': target.dbname,
        'schema': target.schema,
        'tags': [],
        'meta': {},
        'group': none,
        'access': 'protected',
        'description': '',
        'columns': {},
        'depends_on': {'nodes': [], 'macros': []},
        'config': {'materialized': 'table', 'schema': 'converge', 'tags': [], 'meta': {}, 'enabled': true},
        'unrendered_config': {'schema': 'converge'},
    } -%}
    {%- set schema = generate_schema_name('converge', node) | trim -%}
    {%- if execute -%}{%- do graph.update({'converge_state_schema': schema}) -%}{%- endif -%}
    {{ return(schema) }}
{%- endmacro %}
