{% macro state_schema() -%}
    {#- The project's `generate_schema_name` may read the node. The state has no node, so the macro is given one that looks like a model. -#}
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
    {{ return(generate_schema_name('converge', node) | trim) }}
{%- endmacro %}
