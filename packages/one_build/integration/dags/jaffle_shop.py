"""The README's DAG, without a schedule."""

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG
from cosmos import ProfileConfig, ProjectConfig
from one_build.site import Site
from one_build.tasks import dbt_build

PROJECT = Path(__file__).parent.parent
SITE = Site(
    ProjectConfig(PROJECT, manifest_path=PROJECT / "target" / "manifest.json"),
    ProfileConfig("jaffle_shop", "dev", profiles_yml_filepath=PROJECT / "profiles.yml"),
    results="warehouse",
)

with DAG("jaffle_shop", schedule=None, start_date=datetime(2026, 1, 1)):
    dbt_build(SITE)
