"""One `dbt build`, a task a node. Imports nothing itself: Airflow loads `one_build.plugin` in all its processes."""
