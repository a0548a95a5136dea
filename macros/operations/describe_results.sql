{% macro describe_results(results) -%}
    {#-
        What became of every node: a list of dicts with the columns of raw_operations.node_results, times as text. The message
        of a node that did not end well is left out: a database's error may quote a row. So are unit tests, which test the code.
    -#}
    {%- set described, in_utc = [], '%Y-%m-%dT%H:%M:%S.%fZ' -%}
    {%- for result in results if result.node.unique_id in graph.nodes -%}
        {%- set node = graph.nodes[result.node.unique_id] -%}
        {%- set is_test = node.resource_type == 'test' -%}
        {%- set tested = node.attached_node or node.depends_on.nodes | select('in', graph.nodes) | first | default(none) if is_test else none -%}
        {%- set about = graph.nodes.get(tested, {'config': {}}) if is_test else node -%}
        {%- set publish = (about.config.get('meta') or {}).get('publish') -%}
        {%- set spans = result.timing | selectattr('started_at') | list -%}
        {%- set rows = result.adapter_response.get('rows_affected') -%}
        {%- do described.append({
            'unique_id': node.unique_id,
            'resource_type': node.resource_type,
            'name': node.name,
            'schema_name': node.schema,
            'relation_name': node.alias,
            'materialized': node.config.materialized,
            'tested_id': tested,
            'group_name': about.config.group | default(none),
            'publish_group': publish.get('group', 'all') if publish else none,
            'status': result.status | string,
            'message': result.message if result.status == 'success' else none,
            'started_at': spans[0].started_at.strftime(in_utc) if spans else none,
            'finished_at': spans[-1].completed_at.strftime(in_utc) if spans and spans[-1].completed_at else none,
            'seconds': result.execution_time,
            'rows_affected': rows if not is_test and rows is not none and rows >= 0 else none,
            'failures': result.failures if is_test else none,
            'thread': result.thread_id,
        }) -%}
    {%- endfor -%}
    {{ return(described) }}
{%- endmacro %}
