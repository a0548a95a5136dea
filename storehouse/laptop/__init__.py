"""What runs beside the project on one person's machine: the embedded PostgreSQL, the demo shop's API, Airflow."""
