"""What only Airflow needs: rules that every DAG shares, waiting for sources, landing, notices."""
