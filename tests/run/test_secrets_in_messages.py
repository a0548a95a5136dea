"""No message, log or notice has a password, a user or a query of a URL, whatever shape it has and whoever speaks."""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from storehouse.core.errors import StorehouseError
from storehouse.core.settings import settings
from storehouse.core.shown import first_line, shown, without_secrets

SECRETS = ("hunter2", "t0p", "s3kret", "p@ss9", "w0rd", "r3ader", "t0ken", "s3cr3t")
CREDENTIALS = [
    "r3ader:hunter2@host",
    "r3ader:t0p@s3kret@host",
    "r3ader:p@ss9/w0rd@host",
    "r3ader:p/w0rd@host",
    "r3ader:hunter2?x@host",
    "r3ader:hunter2#x@host",
    "r3ader:12/w0rd@host",
    "r3ader:12?w0rd@host",
    "t0ken@host",
    "r3ader:hunter2@host:5432/a?token=s3cr3t",
    "r3ader:hunter2@host?sig=s3cr3t#w0rd",
    "host/a?user=r3ader@s3kret",
    "host/a?password=hunter2",
    "r3ader:s3kret/host",
    "r3ader:hunter2@[::1]:80/a",
    "r3ader:hunter2@[half/a",
]
SCHEMES = ["s3", "https", "redis", "postgresql", "sftp"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("place", CREDENTIALS)
def test_a_url_is_shown_as_host_port_and_path_or_not_at_all(scheme: str, place: str) -> None:
    for url in (f"{scheme}://{place}", place, f"simplecache::{scheme}://{place}"):
        told = shown(url)
        assert not any(secret in told for secret in SECRETS), told
        said = without_secrets(f'Could not connect to "{scheme}://{place}": no such host')
        assert not any(secret in said for secret in SECRETS), said
        assert said.startswith('Could not connect to "')


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://r3ader:hunter2@host:8443/api/v2?token=s3cr3t", "https://host:8443/api/v2"),
        ("s3://bucket/exports", "s3://bucket/exports"),
        ("redis://:hunter2@host:6379/0", "redis://host:6379/0"),
        ("postgresql://r3ader:hunter2@one:5432,two/shop", "postgresql://one:5432,two/shop"),
        ("https://[::1]:80/a", "https://[::1]:80/a"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://account.dfs.core.windows.net/a"),
        ("file:///data/stores", "file:///data/stores"),
        ("/data/of the shop/stores", "/data/of the shop/stores"),
        ("./stores", "./stores"),
    ],
)
def test_what_is_known_to_be_host_port_and_path_is_shown(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.mark.parametrize(
    "variable", ["SHOP_DATABASE_URL", "MARKETPLACE_URL", "REVIEWS_URL", "REDIS_URL", "AIRFLOW_URL", "PUSHGATEWAY_URL"]
)
@pytest.mark.parametrize("place", ["r3ader:t0p@s3kret@host/a", "r3ader:p@ss9/w0rd@host/a", "r3ader:hunter2?x@host"])
def test_a_url_whose_password_may_be_taken_for_a_host_is_refused_at_the_start(
    configure: Callable[..., None], variable: str, place: str
) -> None:
    scheme = {"SHOP_DATABASE_URL": "postgresql", "REDIS_URL": "redis"}.get(variable, "https")
    configure(**{variable: f"{scheme}://{place}"})
    with pytest.raises(StorehouseError, match=f"{variable}: .*%40") as refused:
        settings()
    assert tells_nothing(refused.value)


def test_a_value_that_is_wrong_is_not_echoed(configure: Callable[..., None]) -> None:
    configure(WAREHOUSE_PORT="hunter2", WAREHOUSE_HOST="postgresql://r3ader:t0p@s3kret@host/a")
    with pytest.raises(StorehouseError, match=r"WAREHOUSE_PORT: .*integer") as refused:
        settings()
    assert "WAREHOUSE_HOST: it must be the name of a host" in str(refused.value)
    assert tells_nothing(refused.value)


def test_settings_that_are_printed_show_nothing(configure: Callable[..., None]) -> None:
    configure(WAREHOUSE_PASSWORD="hunter2", REDIS_URL="redis://:hunter2@host")
    assert "hunter2" not in repr(settings()) + str(settings())


def tells_nothing(error: BaseException, *secrets: str) -> bool:
    """Neither the message nor the traceback, the errors before it included, has a secret."""
    told = "".join(traceback.format_exception(error, chain=True))
    # The lines of source are no secret.
    lines = [line for line in told.splitlines() if not line.startswith("    ")]
    return not any(secret in "\n".join(lines) for secret in secrets or SECRETS)


@pytest.mark.parametrize("place", CREDENTIALS)
@pytest.mark.parametrize("scheme", ["s4", "http", "ftp"])
def test_a_store_that_cannot_be_read_or_written_is_told_without_its_secrets(
    configure: Callable[..., None], tmp_path: Path, scheme: str, place: str
) -> None:
    url = f"{scheme}://{place}"
    configure(AIRFLOW_HOME=tmp_path, STORES_URL=url, SALES_EXPORT_URL=url)
    from extract_load.connectors.files.places import Place
    from publish.sales import _Target
    from storehouse.orchestrate.readiness import why_not_ready

    looks = (
        lambda: Place("stores.sales", "STORES_URL", "sales").entries(),
        lambda: _Target(url).sizes(),
        lambda: why_not_ready("stores", None),
    )
    for look in looks:
        try:
            told = str(look())
        except StorehouseError as error:
            assert tells_nothing(error)
            told = str(error)
        assert told and not any(secret in told for secret in SECRETS)


@pytest.mark.parametrize(
    "place", ["r3ader:hunter2@127.0.0.1:1/0", "127.0.0.1:1/0?password=hunter2", "r3ader:hunter2@x:y"]
)
def test_a_redis_that_is_away_or_none_is_told_without_its_secrets(
    configure: Callable[..., None], place: str, caplog: pytest.LogCaptureFixture
) -> None:
    from publish import product_ratings

    configure(REDIS_URL=f"redis://{place}")
    try:
        told = product_ratings().note + caplog.text
    except StorehouseError as error:
        assert tells_nothing(error)
        told = str(error)
    assert told and "hunter2" not in told


def test_what_a_library_says_of_a_url_that_is_set_here_has_no_part_of_its_password(
    configure: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "EXTRACT_PASSWORD").write_text("s3cr3t\n")
    configure(
        STORES_URL="s3://r3ader:p@ss9/w0rd@host/a",
        REDIS_URL="redis://r3ader:hunter%202@host",
        AWS_ENDPOINT_URL="http://r3ader:endpoint-pass@host",
        HTTPS_PROXY="http://r3ader:proxy-pass@proxy",
        AIRFLOW_CONN_STOREHOUSE_NOTICES='{"conn_type": "generic", "password": "notice-pass"}',
        STOREHOUSE_SECRETS=tmp_path,
    )
    said = "Port could not be cast to an integer: w0rd hunter 2, endpoint-pass, proxy-pass, notice-pass, s3cr3t"
    assert str(StorehouseError(said)) == "Port could not be cast to an integer: … …, …, …, …, …"
    assert first_line(ValueError("\n" + said)) == "ValueError"


def test_what_is_no_secret_stays_in_words(configure: Callable[..., None]) -> None:
    configure(STORES_URL="/data/stores", SHOP_DATABASE_URL="postgresql://postgres@host/shop", NO_PROXY="localhost")
    said = "stores: the shop's postgres at localhost, as in postgresql://user:password@host:5432/database"
    assert str(StorehouseError(said)) == said


def python(home: Path, script: str, **variables: str) -> str:
    """What a script prints, on either output."""
    env = os.environ | {"AIRFLOW_HOME": str(home)} | variables
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_requests_are_logged_without_user_and_password(tmp_path: Path) -> None:
    script = """
import logging, httpx
logging.basicConfig(level=logging.INFO)
import extract_load.connectors.api.http
with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
    client.get("https://r3ader:hunter2@host/a?token=s3cr3t")
"""
    said = python(tmp_path, script)
    assert "HTTP Request: GET https://host/a" in said and not any(secret in said for secret in SECRETS)


def test_a_notice_that_cannot_be_sent_is_logged_without_its_url(
    configure: Callable[..., None], tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    configure(AIRFLOW_HOME=tmp_path)
    from storehouse.orchestrate import notices

    for url in ("nowhere://t0ken/t0ken", "json://r3ader:hunter2@127.0.0.1:1/t0ken?x=hunter2", "slack://t0ken", "t0ken"):
        caplog.clear()
        configure(NOTIFY_URL=url)
        assert notices.send("shop_elt failed", ["a line"])
        told = caplog.text + "".join(capfd.readouterr())  # Airflow's loggers write to the standard output
        assert "shop_elt failed" in told
        assert not any(secret in told for secret in ("hunter2", "t0ken", "r3ader"))


def test_airflow_masks_in_its_logs_what_a_librarys_error_might_quote(tmp_path: Path) -> None:
    script = (
        "from storehouse.orchestrate import defaults; from airflow.sdk._shared.secrets_masker import redact; "
        "print(redact('got hunter2hunter2 of it'))"
    )

    assert "got *** of it" in python(tmp_path, script, REDIS_URL="redis://r3ader:hunter2hunter2@host")
