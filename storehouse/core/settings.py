"""Every setting, in one typed place: the environment, a folder of secrets, the embedded default, in this order."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from storehouse.core import sessions
from storehouse.core.embedded import SUPERUSER, EmbeddedServer
from storehouse.core.errors import StorehouseError
from storehouse.core.kept_secret import kept_secret
from storehouse.core.shown import is_clear

PROJECT = Path(__file__).resolve().parents[2]
PII_KEY = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
# A declaration names a variable that holds a place or a secret, and may name one that holds a schema.
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
SCHEMA_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_SCHEMA")
# The variables that the demo shop has a place for, and the path of each API of it.
DEMO = {"SHOP_DATABASE_URL": "", "MARKETPLACE_URL": "/marketplace", "REVIEWS_URL": "", "STORES_URL": ""}
_NOT_CLEAR = (
    "it is not a URL of which user, password and host are clear. In a user, a password or a path write "
    "@ as %40, : as %3A, / as %2F, ? as %3F, # as %23"
)
# For every connection but dbt's: a server that vanished is noticed within about a minute.
LIVENESS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# The names that the servers of a laptop answer to.
LOCAL_HOSTS = ["127.0.0.1", "localhost"]
# The most that numbers may be: what is larger is a slip, and some clock, server or library can't count so far.
DAY = 24 * 60 * 60  # in seconds
WEEK = 7 * 24 * 60  # in minutes
TEN_YEARS = 10 * 366 * 24 * 60  # in minutes
MILLION = 1_000_000
KEY_OPTION = re.compile(r" ?-c storehouse\.pii_key=\S*")


class Settings(BaseSettings):
    """Where everything is and how it is read.

    Each field is an environment variable of that name, or else a file of that name in the folder `STOREHOUSE_SECRETS`.

    The warehouse without `WAREHOUSE_HOST` is the embedded server; a source without its URL is the demo shop's.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    storehouse_home: Path = PROJECT / ".storehouse"
    storehouse_secrets: Path | None = Field(default=None, description="a folder of settings, a file a variable")
    storehouse_port: int = Field(default=0, ge=0, le=65535, description="port of the embedded server, 0: a free one")
    log_format: Literal["text", "json"] = Field(default="text", description="json: a JSON object a line, for programs")

    warehouse_host: str | None = None
    warehouse_port: int = Field(default=5432, ge=1, le=65535)
    warehouse_user: str = SUPERUSER
    warehouse_password: str = ""
    warehouse_database: str = "storehouse"
    warehouse_sslmode: str | None = Field(default=None, description="as libpq's sslmode; verify-full for production")
    warehouse_sslrootcert: Path | None = Field(default=None, description="a file: who may have signed its certificate")
    warehouse_sslcert: Path | None = Field(default=None, description="a file: our own certificate, if it asks for one")
    warehouse_sslkey: Path | None = Field(default=None, description="a file: its key, readable for this user alone")
    extract_user: str | None = Field(default=None, description="who lands, when that is not WAREHOUSE_USER")
    extract_password: str = ""
    reporting_user: str | None = Field(default=None, description="who publishes, when that is not WAREHOUSE_USER")
    reporting_password: str = ""
    forget_user: str | None = Field(default=None, description="who erases in raw, when that is not WAREHOUSE_USER")
    forget_password: str = ""
    backup_user: str | None = Field(default=None, description="who backs the server up: a role that may replicate")
    backup_password: str = ""
    backup_full_days: float = Field(
        default=7, gt=0, le=TEN_YEARS / 60 / 24, description="after how long a back-up is a full one again"
    )
    backup_chains: int = Field(
        default=2, ge=1, le=MILLION, description="full back-ups that are kept, with all that build on them"
    )
    pii_key: SecretStr | None = None

    shop_database_url: str | None = None
    shop_schema: str = "public"
    marketplace_url: str | None = None
    reviews_url: str | None = None
    stores_url: str | None = None

    redis_url: str | None = None
    ratings_ttl_hours: float = Field(
        default=72, ge=0.001, le=TEN_YEARS / 60, description="how long ratings stand in Redis without a new run"
    )
    sales_export_url: str | None = None
    docs_url: str | None = Field(
        default=None, description="a folder or bucket for dbt's documentation and the status page"
    )

    rates_url: str = Field(
        default="https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip",
        description="the ECB's reference rates since 1999, a CSV, zipped or not",
    )
    overlap_minutes: int = Field(
        default=60, ge=0, le=TEN_YEARS, description="how far `updated_at` reads behind its watermark"
    )
    lock_wait_minutes: float = Field(
        default=30, ge=0.001, le=WEEK, description="how long a session waits for another's lock"
    )
    http_timeout_seconds: float = Field(default=30, gt=0, le=DAY, description="how long an API may be silent")
    http_answer_seconds: float = Field(default=300, gt=0, le=DAY, description="how long one answer may take in all")
    http_answer_max_mb: float = Field(default=100, gt=0, le=1000, description="size of one answer, unpacked")
    api_load_minutes: float = Field(
        default=50, gt=0, le=WEEK, description="how long one load of an API may take in all"
    )
    store_file_max_mb: float = Field(default=2000, gt=0, le=MILLION, description="size of one store file")
    store_line_max_mb: float = Field(default=16, gt=0, le=200, description="length of one line or row of a store file")
    store_file_seconds: float = Field(
        default=900, gt=0, le=DAY, description="how long one store file may take to fetch, or read"
    )
    store_memory_mb: float = Field(
        default=4000, gt=0, le=MILLION, description="memory that the reading of one store file may take"
    )
    store_files_max: int = Field(
        default=MILLION, ge=1, le=1000 * MILLION, description="how many store files there may be"
    )
    shop_elt_schedule: str = Field(default="daily", description="hourly, daily, or a cron line")
    feedback_elt_schedule: str = Field(default="daily", description="likewise")
    wait_hours: float = Field(default=3, gt=0, le=WEEK / 60, description="how long a run waits for a source")
    late_hours: float = Field(
        default=4, gt=0, le=WEEK / 60, description="after how long notice is given of a run that goes on"
    )
    large_load_rows: int = Field(
        default=MILLION, ge=1, le=MILLION * MILLION, description="so many landed rows take the large build"
    )
    large_dbt_threads: int = Field(default=8, ge=1, le=256, description="of the large build")
    notify_url: str | None = Field(default=None, description="where notices go, as Apprise reads it")
    notify_critical_url: str | None = Field(default=None, description="where critical alerts go besides")
    report_url: str | None = Field(default=None, description="where the sales report goes, as Apprise reads it")
    report_every: Literal["day", "week", "month"] = Field(default="week", description="which whole days it is about")
    runbook_url: str = "docs/runbook.md"
    pushgateway_url: str | None = Field(default=None, description="where a run's metrics are pushed: http://host:9091")
    airflow_url: str | None = Field(default=None, description="of Airflow's API, whose health is among the metrics")
    http_retries: int = Field(default=5, ge=1, le=100, description="tries of one request, the first included")

    @field_validator("warehouse_host")
    @classmethod
    def _is_a_host(cls, host: str | None) -> str | None:
        if host and not re.fullmatch(r"/.*|[\w.,:%\[\]-]+", host):
            raise ValueError("it must be the name of a host, without port, user and password: they have variables too")
        return host

    @field_validator(
        *("shop_database_url", "marketplace_url", "reviews_url", "redis_url", "pushgateway_url", "airflow_url")
    )
    @classmethod
    def _has_a_host(cls, url: str | None) -> str | None:
        # Libraries would read it in different ways, take part of the password for the host, and quote it in errors.
        if url and "://" in url and not is_clear(url):
            raise ValueError(_NOT_CLEAR)
        return url

    def __repr_args__(self) -> list[tuple[str, object]]:
        """Nothing, so that a traceback that shows values shows no secret."""
        return []

    @property
    def home(self) -> Path:
        """The folder of everything that running makes: data, logs, the demo's files."""
        return self.storehouse_home.resolve()

    @property
    def server(self) -> EmbeddedServer:
        """The embedded server, running or not."""
        return EmbeddedServer(self.home / "postgres")

    @property
    def is_embedded(self) -> bool:
        """True while the warehouse is the embedded server."""
        return self.warehouse_host is None

    @property
    def is_demo(self) -> bool:
        """True while the demo shop is the source: `SHOP_DATABASE_URL` is not set."""
        return self.shop_database_url is None

    def given(self, variable: str) -> str | None:
        """The value of any variable that a declaration names: of the environment, or of `STOREHOUSE_SECRETS`."""
        if value := os.environ.get(variable):
            return value
        file = self.storehouse_secrets and self.storehouse_secrets / variable
        try:
            return (file.read_text().strip() or None) if file and file.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise StorehouseError(f"{variable}: its file in STOREHOUSE_SECRETS can't be read: {error}") from None

    def required(self, variable: str, source: str = "the source") -> str:
        """The value of a variable that the declaration of a source names, or the demo shop's.

        Raises:
            StorehouseError: it is not set.
        """
        if value := self.given(variable) or (variable in DEMO and self._of_demo(variable)):
            return value
        raise StorehouseError(
            f"{variable} is not set, and {source} needs it: its declaration names it. Set it in the environment, or "
            "as a file of that name in the folder STOREHOUSE_SECRETS."
        )

    def place(self, variable: str, source: str = "the source") -> str:
        """Where a source is: `required`, checked.

        Raises:
            StorehouseError: it is not set, or a URL whose password can't be told from its host.
        """
        place = self.required(variable, source)
        has_a_host = "@" in place or place.lower().startswith(("http", "sftp", "postgres"))
        if has_a_host and "://" in place and not is_clear(place):
            raise StorehouseError(f"A setting in the environment is wrong. {variable}: {_NOT_CLEAR}")
        return place

    def has_place(self, variable: str) -> bool:
        """True if the variable is set, or the demo shop is the source and has one of this name."""
        return bool(self.given(variable)) or (self.is_demo and variable in DEMO)

    def schema_named(self, name: str) -> str:
        """The schema of a source: the name itself; of a variable `…_SCHEMA` what it holds, or `public`."""
        return self.given(name) or "public" if SCHEMA_VARIABLE.fullmatch(name) else name

    def warehouse_environment(self) -> dict[str, str]:
        """`WAREHOUSE_*` for dbt's `profiles.yml` and for `psql`: the place of the server in use."""
        place = {
            "WAREHOUSE_HOST": self.warehouse_host or "127.0.0.1",
            "WAREHOUSE_PORT": str(self.server.port if self.is_embedded else self.warehouse_port),
            "WAREHOUSE_USER": self.warehouse_user,
            "WAREHOUSE_PASSWORD": self._warehouse_password(),
            "WAREHOUSE_DATABASE": self.warehouse_database,
        }
        tls = {f"WAREHOUSE_{name.upper()}": value for name, value in self._tls().items()}
        # libpq's own variable: neither dbt's profile nor psql has another way to set it.
        return place | tls | {f"PG{name.upper().replace('_', '')}": value for name, value in self._auth().items()}

    def _auth(self) -> dict[str, str]:
        """libpq's parameters with which the embedded server is not told the password itself."""
        return self.server.auth if self.is_embedded else {}

    def _tls(self) -> dict[str, str]:
        """libpq's parameters that are set here; for the others libpq's own variables and defaults hold."""
        names = ("sslmode", "sslrootcert", "sslcert", "sslkey")
        values = {name: getattr(self, f"warehouse_{name}") for name in names}
        return {name: str(value) for name, value in values.items() if value is not None}

    def _warehouse_password(self) -> str:
        """The password that is set, or that of the embedded server's superuser."""
        is_servers_own = self.is_embedded and self.warehouse_user == SUPERUSER
        return self.warehouse_password or (self.server.password if is_servers_own else "")

    def dbt_environment(self) -> dict[str, str]:
        """The environment variables of a dbt process: the warehouse's place, and the settings of its sessions.

        Raises:
            StorehouseError: the warehouse is one's own and has no usable `PII_KEY`.
        """
        return self.warehouse_environment() | self.session_environment()

    def session_environment(self) -> dict[str, str]:
        """The settings of dbt's sessions: `PGOPTIONS`, and what libpq sends beside it from variables of its own.

        Only dbt's sessions have the masking key, which is in no SQL, log or file, and the cost of reads. Every other
        connection is made from a conninfo below, with options of its own and without the key.

        Raises:
            StorehouseError: the warehouse is one's own and has no usable `PII_KEY`. The message has nothing of the key.
        """
        # A run looks up keys. With PostgreSQL's default, 4, meant for spinning disks, it would read all of history.
        options = self._options({"random_page_cost": "1.1"})
        meaning = sessions.MEANING
        return {
            "PGOPTIONS": f"{options} -c storehouse.pii_key={self._pii_key()}",
            "PGCLIENTENCODING": meaning["client_encoding"],
            "PGDATESTYLE": meaning["DateStyle"],
            "PGTZ": meaning["TimeZone"],
        }

    def _options(self, more: dict[str, str] | None = None) -> str:
        """The settings of a session of the warehouse, as `PGOPTIONS`. Of several values of one setting the last counts.

        So the operator's `PGOPTIONS` stands after the settings that it may change, and before those that it may not.
        """
        first = sessions.options(sessions.patience(self.lock_wait_minutes) | (more or {}))
        last = sessions.options(sessions.WAREHOUSE_MEANING)
        theirs = KEY_OPTION.sub("", os.environ.get("PGOPTIONS", ""))
        for ours in (first, last):  # a parent process of ours has put them there
            theirs = theirs.replace(ours, "")
        return " ".join(filter(None, (first, theirs.strip(), last)))

    def _pii_key(self) -> str:
        if self.pii_key:
            key = self.pii_key.get_secret_value()
            if not PII_KEY.fullmatch(key):
                raise StorehouseError(
                    "PII_KEY is not a key: it needs 32 or more letters, digits, +, /, =, _ and -. "
                    "Make one with: openssl rand -hex 32"
                )
            return key
        if not self.is_embedded:
            raise StorehouseError(
                "PII_KEY is not set: the key that masks personal data in the marts. Make one with: "
                "openssl rand -hex 32. Keep it where you keep passwords: "
                "with another key every masked value is another one."
            )
        return kept_secret(self.home / "pii_key")

    def warehouse_conninfo(
        self, duty: Literal["extract", "transform", "reporting", "forget", "backup"] = "transform"
    ) -> str:
        """A libpq connection string to the warehouse, as the role of a duty.

        deploy/roles.sql makes one for each but `backup`, which docs/backup.md has.
        """
        place = self.warehouse_environment()
        user, password = {
            "extract": (self.extract_user, self.extract_password),
            "transform": (None, ""),
            "reporting": (self.reporting_user, self.reporting_password),
            "forget": (self.forget_user, self.forget_password),
            "backup": (self.backup_user, self.backup_password),
        }[duty]
        if user is None:
            user, password = self.warehouse_user, self._warehouse_password()
        return make_conninfo(
            "",
            host=place["WAREHOUSE_HOST"],
            port=place["WAREHOUSE_PORT"],
            user=user,
            password=password or None,
            dbname=place["WAREHOUSE_DATABASE"],
            application_name=f"storehouse {duty}",
            client_encoding=sessions.MEANING["client_encoding"],
            options=self._options(),
            **self._tls(),
            **self._auth(),
            **LIVENESS,
        )

    def source_conninfo(self, variable: str, source: str = "the source") -> str:
        """A libpq connection string to a source's database, without `PGOPTIONS`, which is for the warehouse.

        Raises:
            StorehouseError: the variable holds none. The message has nothing of its value: it may have a password.
        """
        try:
            place = conninfo_to_dict(self.place(variable, source))
        except ProgrammingError:
            raise StorehouseError(
                f"{variable} is not a PostgreSQL connection string. One looks like "
                "postgresql://user:password@host:5432/database"
            ) from None
        ours = {"client_encoding": sessions.MEANING["client_encoding"]}
        defaults = {"options": "", "application_name": "storehouse"} | LIVENESS
        if self.is_embedded:
            # `PGREQUIREAUTH` may be in the environment, but it is meant for the warehouse.
            defaults["require_auth"] = "none,password,md5,gss,sspi,scram-sha-256"
        return make_conninfo("", **defaults | place | ours)

    def source_session(self, conninfo: str) -> dict[str, str]:
        """The settings of a session of a source. Time-outs in the URL's own options win."""
        said = str(conninfo_to_dict(conninfo).get("options", ""))
        patience = sessions.patience(self.lock_wait_minutes) | {sessions.TRANSACTION_TIMEOUT: "0"}
        return {name: value for name, value in patience.items() if name not in said} | sessions.MEANING

    def resolved_sales_export_url(self) -> str:
        """The folder or bucket that daily sales are exported to."""
        return self.sales_export_url or str(self.home / "export")

    def _of_demo(self, variable: str) -> str:
        """Where the demo shop has a source."""
        if variable == "SHOP_DATABASE_URL":
            return self.server.conninfo("shop")
        if variable == "STORES_URL":
            return str(self.home / "demo" / "stores")
        file = self.home / "demo" / "port"
        if not file.exists():
            raise StorehouseError(
                f"The demo shop's API is not running. Start it with `make start`, or set {variable} to yours."
            )
        return f"http://127.0.0.1:{file.read_text().strip()}" + DEMO[variable]


def quoted(identifier: str) -> str:
    """The name in quotes, as in SQL and `search_path`."""
    return '"' + identifier.replace('"', '""') + '"'


@cache
def settings() -> Settings:
    """The settings of this process, read once and checked.

    Raises:
        StorehouseError: a value is not what it should be; the message names the variable.
    """
    folder = os.environ.get("STOREHOUSE_SECRETS") or None
    try:
        if folder:
            next(Path(folder).iterdir(), None)  # pydantic only warns when it is not there
        # pydantic-settings takes it, and declares to type checkers the fields alone.
        return Settings(_secrets_dir=folder)  # pyright: ignore[reportCallIssue]
    except OSError as error:
        raise StorehouseError(
            f"STOREHOUSE_SECRETS: {error.filename}: {error.strerror}. "
            "Mount the secrets there, a file a variable, readable for this user, or unset it."
        ) from error
    except ValidationError as error:
        # Without what was given: the variable is known, and a password may stand in the wrong one.
        wrong = "; ".join(
            f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise StorehouseError(f"A setting in the environment is wrong. {wrong}") from None
