"""What deploy/ and docs/deploy.md say is what the project has."""

import os
import re
import subprocess
import tomllib
from importlib.util import find_spec

import pytest
import yaml

from storehouse.core.settings import PROJECT, Settings

pytestmark = pytest.mark.quick

VALUES = yaml.safe_load((PROJECT / "deploy" / "values.yaml").read_text())
LOCKED = {package["name"]: package for package in tomllib.loads((PROJECT / "uv.lock").read_text())["package"]}


def test_the_chart_is_told_the_version_of_airflow_that_the_image_has():
    assert VALUES["airflowVersion"] == LOCKED["apache-airflow"]["version"]


def test_the_image_has_a_package_for_every_executor_and_login_that_is_described():
    group = LOCKED["storehouse"]["dev-dependencies"]["cluster"]
    names = {dependency["name"].removeprefix("apache-airflow-providers-") for dependency in group}
    assert names >= {"celery", "cncf-kubernetes", "fab"}


def test_every_variable_of_ours_that_the_guides_name_is_a_setting():
    text = "".join((PROJECT / "docs" / name).read_text() for name in ("deploy.md", "publish.md", "report.md"))
    ours = "WAREHOUSE|EXTRACT|REPORTING|SHOP|STORES|REDIS|RATINGS|SALES|STOREHOUSE|NOTIFY|REPORT|RUNBOOK|DOCS|PII"
    named = {name.lower() for name in re.findall(rf"\b(?:{ours})_[A-Z_]+\b", text)}
    assert named and named <= Settings.model_fields.keys()


def test_every_module_of_ours_that_the_guides_start_is_there():
    text = (PROJECT / "docs" / "deploy.md").read_text() + (PROJECT / "deploy" / "values.yaml").read_text()
    named = set(re.findall(r"python -m (storehouse[.\w]*)", text))
    assert "storehouse.orchestrate.preloaded" in named and all(find_spec(name) for name in named)


def test_everything_that_the_image_and_the_checks_take_from_others_is_pinned():
    containerfile = (PROJECT / "deploy" / "Containerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", containerfile, re.MULTILINE)) == {"${BASE}"}
    assert "*@sha256:*) ;;" in containerfile and "exit 1" in containerfile
    (uv,) = set(re.findall(r"\buv==(\d+\.\d+\.\d+)", containerfile + (PROJECT / "Makefile").read_text()))
    assert uv and not re.search(r"pip install[^\n]* uv\b(?!==)", containerfile + (PROJECT / "Makefile").read_text())
    workflows = "".join(file.read_text() for file in (PROJECT / ".github" / "workflows").glob("*.yml"))
    actions = re.findall(r"uses: (\S+)", workflows)
    assert actions and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in actions)


@pytest.mark.parametrize(("base", "code"), [("python:3.11-slim-bookworm", 1), ("python@sha256:" + 64 * "a", 0)])
def test_a_base_image_without_a_digest_is_refused_in_words(base, code):
    containerfile = (PROJECT / "deploy" / "Containerfile").read_text()
    script = re.search(r"^RUN (case .*?esac)$", containerfile, re.MULTILINE | re.DOTALL)[1].replace("\\\n", "")
    done = subprocess.run(["sh", "-c", script], env={"BASE": base}, capture_output=True, text=True)
    assert (done.returncode, "--build-arg BASE=" in done.stdout) == (code, bool(code))


def test_no_pod_is_root_or_may_become_it():
    contexts = VALUES["securityContexts"]
    assert contexts["pod"]["runAsNonRoot"] and contexts["pod"]["runAsUser"] == 50000
    assert contexts["containers"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert VALUES["networkPolicies"]["enabled"] and VALUES["apiServer"]["networkPolicy"]["ingress"]["from"]


def test_a_container_that_runs_a_task_is_healthy_and_an_api_that_is_away_is_not():
    healthy = PROJECT / "deploy" / "healthy"
    containerfile = (PROJECT / "deploy" / "Containerfile").read_text()
    assert re.search(r"^COPY --chmod=755 deploy/healthy /healthy$", containerfile, re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*CMD \["/healthy"\]$', containerfile, re.MULTILINE)
    env = os.environ | {"AIRFLOW__API__PORT": "1"}
    env["PATH"] = f"{PROJECT / '.venv' / 'bin'}:{env['PATH']}"
    assert subprocess.run([healthy, "/entrypoint airflow tasks run"], env=env).returncode == 0
    assert subprocess.run([healthy, "tini -- airflow api-server"], env=env, capture_output=True).returncode == 1
