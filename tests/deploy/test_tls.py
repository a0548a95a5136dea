"""TLS with real certificates: psycopg, dbt and Redis check the server's, show ours, and say in words what is wrong."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from real_redis import wait_until

from publish import product_ratings
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.settings import PROJECT
from storehouse.laptop.server import free_port, not_root

PASSWORD = "let me in"


def openssl(folder: Path, *arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: an authority `ca`, what it signed for `localhost` and for the user `postgres`, and a stranger."""
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    for authority in ("ca", "stranger"):
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={authority}"]
        openssl(folder, *new, "-keyout", f"{authority}.key", "-out", f"{authority}.crt")
    for name, subject in (("server", "localhost"), ("client", "postgres")):
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}"]
        openssl(folder, *new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{subject}")
        sign = ["x509", "-req", "-days", 2, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        openssl(folder, *sign, "-extfile", f"{name}.ext", "-in", f"{name}.csr", "-out", f"{name}.crt")
        (folder / f"{name}.key").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def postgres(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A PostgreSQL that takes connections with TLS alone: to `secured` with our certificate too. Gives its port."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL with TLS here (Debian: apt install postgresql); the embedded one is built without")
    binaries, folder, port = found[-1].parent, tmp_path_factory.mktemp("postgres"), free_port()
    data = folder / "data"
    data.mkdir(mode=0o700)

    def run(command: str, *arguments: object) -> None:
        with (folder / "said").open("w") as said:
            subprocess.run(
                [*not_root(), binaries / command, *map(str, arguments)], check=True, stdout=said, stderr=said
            )

    run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    for name in ("server.key", "server.crt", "ca.crt"):
        shutil.copy(certificates / name, data)
    (data / "pg_hba.conf").write_text("hostssl secured all 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c ssl=on"
    options += " -c ssl_ca_file=ca.crt"
    run("pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
    with psycopg.connect(host="localhost", port=port, user="postgres", sslmode="require", autocommit=True) as own:
        own.execute("create database secured")
    yield port
    run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")


@pytest.fixture
def secured(postgres: int, certificates: Path, configure: Callable[..., None]) -> Callable[..., None]:
    """The warehouse is `secured`, with all that TLS needs; called with settings, it changes some."""
    configure(
        WAREHOUSE_HOST="localhost",
        WAREHOUSE_PORT=postgres,
        WAREHOUSE_USER="postgres",
        WAREHOUSE_DATABASE="secured",
        WAREHOUSE_SSLMODE="verify-full",
        WAREHOUSE_SSLROOTCERT=certificates / "ca.crt",
        WAREHOUSE_SSLCERT=certificates / "client.crt",
        WAREHOUSE_SSLKEY=certificates / "client.key",
        PII_KEY="the-key-of-every-house-in-the-tests",
        PYTHONPATH=PROJECT,
    )
    return configure


def dbt_debug(tmp_path: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).parent / "dbt", "debug", "--connection"]
    environment = os.environ | {
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_LOG_PATH": str(tmp_path),
        "DBT_TARGET_PATH": str(tmp_path),
    }
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)


def test_psycopg_and_dbt_reach_a_warehouse_that_asks_for_tls_and_our_certificate(secured, tmp_path, monkeypatch):
    for duty in ("extract", "transform", "reporting"):
        with databases.open_warehouse(duty) as warehouse:
            encrypted = "select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()"
            assert warehouse.execute(encrypted).fetchone() == (True, "/CN=postgres")
    for name, value in databases.dbt_environment().items():
        monkeypatch.setenv(name, value)
    done = dbt_debug(tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"WAREHOUSE_SSLROOTCERT": "stranger.crt"}, "certificate verify failed"),
        ({"WAREHOUSE_SSLROOTCERT": "nowhere.crt"}, "nowhere.crt. does not exist"),
        ({"WAREHOUSE_HOST": "127.0.0.1"}, 'does not match host name "127.0.0.1"'),
        ({"WAREHOUSE_SSLCERT": "stranger.crt", "WAREHOUSE_SSLKEY": "stranger.key"}, "alert unknown ca"),
        ({"WAREHOUSE_SSLMODE": "verify-everything"}, "invalid sslmode"),
    ],
)
def test_a_certificate_that_is_wrong_is_told_in_words_and_not_tried_again(
    secured, certificates: Path, tmp_path, monkeypatch, wrong: dict[str, str], words: str
):
    wrong = {name: certificates / value if value.endswith((".crt", ".key")) else value for name, value in wrong.items()}
    (certificates / "stranger.key").chmod(0o600)
    secured(**wrong)
    with pytest.raises(StorehouseError, match=rf"Cannot connect to the warehouse .*({words}).*sslmode") as error:
        databases.open_warehouse()
    assert not isinstance(error.value, TransientError)
    for name, value in databases.settings().dbt_environment().items():
        monkeypatch.setenv(name, value)
    assert dbt_debug(tmp_path).returncode != 0


def test_a_shop_is_read_with_tls_as_its_url_says(secured, postgres: int, certificates: Path):
    place = {"host": "localhost", "port": postgres, "user": "postgres", "dbname": "postgres", "sslmode": "verify-full"}
    secured(SHOP_DATABASE_URL=make_conninfo(**place, sslrootcert=str(certificates / "ca.crt")))
    with databases.open_source("SHOP_DATABASE_URL", "shop") as shop, shop.snapshot():
        assert shop.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)
    secured(SHOP_DATABASE_URL=make_conninfo(**place, sslrootcert=str(certificates / "stranger.crt")))
    with pytest.raises(StorehouseError, match=r"Cannot connect to the shop.*certificate verify failed.*sslmode"):
        databases.open_source("SHOP_DATABASE_URL", "shop")


@pytest.fixture
def redis_url(certificates: Path, tmp_path: Path) -> Iterator[str]:
    """A Redis that speaks TLS alone and asks for our certificate; gives its URL, with the files that it needs."""
    binary, port = shutil.which("redis-server", path="/usr/bin:/usr/local/bin"), free_port()
    if binary is None or "libssl" not in subprocess.run(["ldd", binary], capture_output=True, text=True).stdout:
        pytest.skip("no redis-server with TLS here (Debian: apt install redis-server)")
    options = {
        "port": 0,
        "tls-port": port,
        "bind": "127.0.0.1",
        "save": "",
        "requirepass": PASSWORD,
        "tls-cert-file": certificates / "server.crt",
        "tls-key-file": certificates / "server.key",
        "tls-ca-cert-file": certificates / "ca.crt",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([binary, *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL)
    url = f"rediss://:let%20me%20in@localhost:{port}/0"
    ours = f"{certificates}/client"
    files = f"?ssl_ca_certs={certificates}/ca.crt&ssl_certfile={ours}.crt&ssl_keyfile={ours}.key"

    def answers() -> bool:
        try:
            return redis.Redis.from_url(url + files).ping()
        except redis.exceptions.ConnectionError:
            return False

    wait_until(answers)
    yield url + files
    process.kill()
    process.wait()


def test_ratings_reach_a_redis_with_tls(house, redis_url: str, configure):
    with psycopg.connect(house.warehouse) as own:
        own.execute("create schema if not exists feedback")
        columns = "product_id text, reviews int, average_rating numeric, rating_change numeric, has_dropped boolean"
        columns += ", positive_reviews int, neutral_reviews int, negative_reviews int, last_review_date date"
        own.execute(f"create table if not exists feedback.product_ratings ({columns})")
        own.execute("insert into feedback.product_ratings (product_id, reviews) values ('P-1', 2)")
    configure(REDIS_URL=redis_url)
    assert product_ratings().products >= 1


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("ca.crt", "stranger.crt", "certificate verify failed|CERTIFICATE_VERIFY_FAILED"),
        ("ca.crt", "nowhere.crt", "No such file"),
        ("client.crt", "stranger.crt", "KEY_VALUES_MISMATCH"),
        ("ssl_certfile", "ssl_certificate", "an option that is unknown"),
    ],
)
def test_a_redis_whose_certificate_is_wrong_is_an_error_in_words_and_not_passed_over(
    house, redis_url: str, configure, right: str, wrong: str, words: str
):
    configure(REDIS_URL=redis_url.replace(right, wrong))
    with pytest.raises(StorehouseError, match=words) as error:
        product_ratings()
    assert "let" not in str(error.value).split() and "%20" not in str(error.value)
