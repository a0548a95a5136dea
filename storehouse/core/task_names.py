"""What the tasks that run dbt are called, in every DAG that has them: other tasks, commands and messages name them."""

DBT = "dbt"  # the task group: a node's task is `dbt.` and the node's name
BUILD, LARGE_BUILD = f"{DBT}.build", f"{DBT}.build_large"
TESTS = f"{DBT}.tests"  # those that are about several nodes
