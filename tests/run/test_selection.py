"""Words that a caller gives for dbt's command line are a selection of models, and can be nothing else."""

import re
from pathlib import Path

import pytest
from houses import command

from storehouse.core.errors import StorehouseError
from storehouse.core.selection import PATTERN, variables, words

SELECTIONS = [
    "fct_orders",
    "+fct_orders+",
    "2+fct_orders+1",
    "@fct_orders",
    "@source:raw_shop.orders",
    "fct_orders dim_products",
    "  fct_orders\n dim_products ",
    "path:models/marts/core,+fct_orders",
    "tag:audit,config.materialized:converging",
    "config.meta.owner:sales",
    "models/marts/core/*.sql",
    "./models/marts",
    "state:modified+ result:error+",
    "fct_* stg_[a-m]*",
    "test_type:unit",
    "source:raw_shop.orders+",
    "package:converge",
    "_private_model",
]
NO_SELECTIONS = [
    "--full-refresh",
    "-s",
    "fct_orders --full-refresh --vars {quality_limits:{}}",
    "fct_orders\t--vars {a:b}",
    "fct_orders\u00a0--full-refresh",
    "fct_orders,--full-refresh",
    "+--full-refresh",
    "@-x",
    "{{ env_var('PII_KEY') }}",
    "fct_orders; drop table x",
    "fct_orders $(id)",
    "'--full-refresh'",
    "—full-refresh",
    "fct_orders,",
    "fct_orders\0--full-refresh",
]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_what_dbt_selects_by_is_taken(selection: str) -> None:
    assert words(selection) == selection.split()


@pytest.mark.parametrize("selection", NO_SELECTIONS)
def test_flags_and_whatever_else_is_no_selection_are_refused(selection: str) -> None:
    with pytest.raises(StorehouseError, match="no selection"):
        words(selection)


@pytest.mark.parametrize("selection", [*SELECTIONS, *NO_SELECTIONS, ""])
def test_the_form_of_a_dag_run_takes_what_the_code_takes(
    selection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.sdk import Param
    from airflow.sdk.exceptions import ParamValidationError

    param = Param("", type="string", pattern=PATTERN)
    if selection in NO_SELECTIONS:
        with pytest.raises(ParamValidationError):
            param.resolve(selection)
    else:
        assert param.resolve(selection) == selection


def test_a_run_by_hand_may_not_give_dbt_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
    from one_build.tasks import DbtTask

    from storehouse.orchestrate.dbt_tasks import Storehouse
    from storehouse.orchestrate.defaults import build_params

    with pytest.raises(ParamValidationError):
        build_params()["selection"].resolve("fct_orders --full-refresh")
    task = DbtTask(task_id="any", site=Storehouse(None, None), select=[], exclude=[])
    with pytest.raises(AirflowFailException, match="no selection"):
        task.asked({"params": {"selection": "fct_orders --full-refresh --vars {a:b}"}})


def test_a_very_long_word_is_judged_at_once() -> None:
    with pytest.raises(StorehouseError):
        words("a" * 100_000 + "$")
    for part in ("a:b.c", "1+1", "@a+1", "a.b"):
        with pytest.raises(StorehouseError):
            words(",".join([part] * 1_000) + "$")
        assert not re.search(PATTERN, " ".join([part] * 1_000) + " $")


@pytest.mark.parametrize("said", ["--full-refresh", "[1]", "quality_limits", "{a: b", "{a: !!python/object:os.x {}}"])
def test_variables_that_are_no_mapping_are_refused(said: str) -> None:
    with pytest.raises(StorehouseError, match="VARS"):
        variables(said)


def test_variables_reach_dbt_as_one_word() -> None:
    assert variables("{quality_limits: {shop.orders: 8}}") == ["--vars", '{"quality_limits": {"shop.orders": 8}}']
    assert variables(None) == []


def test_the_audit_refuses_flags_in_words(tmp_path: Path) -> None:
    done = command(tmp_path)("audit", "--select=fct_orders --full-refresh")
    assert done.returncode == 1
    assert "no selection" in done.stderr and "Traceback" not in done.stderr
