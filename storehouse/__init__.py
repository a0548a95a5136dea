"""What Storehouse needs beside extract-load, dbt's project and the DAGs, in packages by who needs it.

- `core`: settings, errors, connections, running dbt. Everything else imports it; it imports nothing else of ours.
- `laptop`: the embedded PostgreSQL, the demo shop's API, and Airflow on one machine.
- `operate`: what a person types: run, audit, forget, rates; and what the commands share with Airflow's tasks.
- `orchestrate`: what only Airflow needs.

Imports go from the bottom of this list to its top, never back: `make imports` checks it.
"""
