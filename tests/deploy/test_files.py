"""What deploy/ and docs/deploy.md say is what the project has."""

import re
import tomllib
from importlib.util import find_spec

import yaml

from storehouse.settings import PROJECT, Settings

VALUES = yaml.safe_load((PROJECT / "deploy" / "values.yaml").read_text())
LOCKED = {package["name"]: package for package in tomllib.loads((PROJECT / "uv.lock").read_text())["package"]}


def test_the_chart_is_told_the_version_of_airflow_that_the_image_has():
    assert VALUES["airflowVersion"] == LOCKED["apache-airflow"]["version"]


def test_the_image_has_a_package_for_every_executor_and_login_that_is_described():
    group = LOCKED["storehouse"]["dev-dependencies"]["cluster"]
    names = {dependency["name"].removeprefix("apache-airflow-providers-") for dependency in group}
    assert names >= {"celery", "cncf-kubernetes", "fab"}


def test_every_variable_of_ours_that_the_guides_name_is_a_setting():
    text = "".join((PROJECT / "docs" / name).read_text() for name in ("deploy.md", "publish.md"))
    ours = "WAREHOUSE|EXTRACT|REPORTING|SHOP|STORES|REDIS|RATINGS|SALES|STOREHOUSE|NOTIFY|RUNBOOK|DOCS|PII"
    named = {name.lower() for name in re.findall(rf"\b(?:{ours})_[A-Z_]+\b", text)}
    assert named and named <= Settings.model_fields.keys()


def test_every_module_of_ours_that_the_guides_start_is_there():
    text = (PROJECT / "docs" / "deploy.md").read_text() + (PROJECT / "deploy" / "values.yaml").read_text()
    named = set(re.findall(r"python -m (storehouse[.\w]*)", text))
    assert "storehouse.preloaded" in named and all(find_spec(name) for name in named)
