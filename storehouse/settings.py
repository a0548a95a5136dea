"""Every setting, in one typed place: the environment, a folder of secrets, the embedded default, in this order."""

import os
import re
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from storehouse.errors import StorehouseError
from storehouse.server import SUPERUSER, Server

PROJECT = Path(__file__).resolve().parent.parent
PII_KEY = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
# Of every connection but dbt's: a server that is gone without a word is noticed within a minute or so.
LIVENESS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
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

    warehouse_host: str | None = None
    warehouse_port: int = Field(default=5432, ge=1, le=65535)
    warehouse_user: str = SUPERUSER
    warehouse_password: str = ""
    warehouse_database: str = "storehouse"
    extract_user: str | None = Field(default=None, description="who lands, when that is not WAREHOUSE_USER")
    extract_password: str = ""
    reporting_user: str | None = Field(default=None, description="who publishes, when that is not WAREHOUSE_USER")
    reporting_password: str = ""
    pii_key: SecretStr | None = None

    shop_database_url: str | None = None
    shop_schema: str = "public"
    marketplace_url: str | None = None
    reviews_url: str | None = None
    stores_url: str | None = None

    redis_url: str | None = None
    ratings_ttl_hours: float = Field(default=72, gt=0, description="how long ratings stand in Redis without a new run")
    sales_export_url: str | None = None
    docs_url: str | None = Field(default=None, description="a folder or bucket for dbt's documentation")

    overlap_minutes: int = Field(default=60, ge=0, description="how far `updated_at` reads behind its watermark")
    http_timeout_seconds: float = Field(default=30, gt=0, description="how long an API may be silent")
    http_answer_seconds: float = Field(default=300, gt=0, description="how long one answer may take in all")
    http_answer_max_mb: float = Field(default=100, gt=0, le=1000, description="size of one answer, unpacked")
    api_load_minutes: float = Field(default=50, gt=0, description="how long one load of an API may take in all")
    shop_elt_schedule: str = Field(default="daily", description="hourly, daily, or a cron line")
    feedback_elt_schedule: str = Field(default="daily", description="likewise")
    wait_hours: float = Field(default=3, gt=0, description="how long a run waits for a source")
    late_hours: float = Field(default=4, gt=0, description="after how long notice is given of a run that goes on")
    large_load_rows: int = Field(default=1_000_000, ge=1, description="so many landed rows take the large build")
    large_dbt_threads: int = Field(default=8, ge=1, description="of the large build")
    notify_url: str | None = Field(default=None, description="where notices go, as Apprise reads it")
    runbook_url: str = "docs/runbook.md"
    http_retries: int = Field(default=5, ge=1, description="tries of one request, the first included")

    @property
    def home(self) -> Path:
        """The folder of everything that running makes: data, logs, the demo's files."""
        return self.storehouse_home.resolve()

    @property
    def server(self) -> Server:
        """The embedded server, running or not."""
        return Server(self.home / "postgres", port=self.storehouse_port)

    @property
    def is_embedded(self) -> bool:
        """True while the warehouse is the embedded server."""
        return self.warehouse_host is None

    @property
    def is_demo(self) -> bool:
        """True while the demo shop is the source: nobody said where a real one is."""
        return self.shop_database_url is None

    @property
    def sources(self) -> list[str]:
        """The sources to land: the demo's four, or those whose place is set."""
        places = {
            "shop": self.shop_database_url,
            "marketplace": self.marketplace_url,
            "reviews": self.reviews_url,
            "stores": self.stores_url,
        }
        return [source for source, place in places.items() if self.is_demo or place]

    def warehouse_environment(self) -> dict[str, str]:
        """`WAREHOUSE_*` for dbt's `profiles.yml` and for `psql`, resolved to the server that is in use."""
        return {
            "WAREHOUSE_HOST": self.warehouse_host or "127.0.0.1",
            "WAREHOUSE_PORT": str(self.server.port if self.is_embedded else self.warehouse_port),
            "WAREHOUSE_USER": self.warehouse_user,
            "WAREHOUSE_PASSWORD": self.warehouse_password,
            "WAREHOUSE_DATABASE": self.warehouse_database,
        }

    def dbt_environment(self) -> dict[str, str]:
        """What a dbt process needs: the warehouse's place, and what its sessions are told.

        Raises:
            StorehouseError: the warehouse is one's own and has no usable `PII_KEY`.
        """
        return self.warehouse_environment() | self.session_environment()

    def session_environment(self) -> dict[str, str]:
        """`PGOPTIONS` of dbt's sessions: the masking key, which stands in no SQL, log or file, and what reads cost.

        Every other connection is made from a conninfo below, which says its options itself: none of them has the key.

        Raises:
            StorehouseError: the warehouse is one's own and has no usable `PII_KEY`. The message has nothing of the key.
        """
        options = self._options()
        # A run looks up keys. PostgreSQL's default, 4, is a spinning disk's: it would read history instead.
        if "random_page_cost" not in options:
            options += " -c random_page_cost=1.1"
        return {"PGOPTIONS": f"{options} -c storehouse.pii_key={self._pii_key()}".strip()}

    @staticmethod
    def _options() -> str:
        """What `PGOPTIONS` says beside the key."""
        return KEY_OPTION.sub("", os.environ.get("PGOPTIONS", ""))

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
        file = self.home / "pii_key"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            ours = file.with_name(f"pii_key.{os.getpid()}")
            with os.fdopen(os.open(ours, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
                new.write(secrets.token_hex(32))
            # Of two who begin at once, one key stays.
            with suppress(FileExistsError):
                os.link(ours, file)
            ours.unlink()
        return file.read_text()

    def warehouse_conninfo(self, duty: Literal["extract", "transform", "reporting"] = "transform") -> str:
        """A libpq connection string to the warehouse, as the role of a duty: deploy/roles.sql makes one for each."""
        place = self.warehouse_environment()
        user, password = {
            "extract": (self.extract_user, self.extract_password),
            "transform": (None, ""),
            "reporting": (self.reporting_user, self.reporting_password),
        }[duty]
        if user is None:
            user, password = self.warehouse_user, self.warehouse_password
        return make_conninfo(
            host=place["WAREHOUSE_HOST"],
            port=place["WAREHOUSE_PORT"],
            user=user,
            password=password or None,
            dbname=place["WAREHOUSE_DATABASE"],
            application_name="storehouse",
            options=self._options(),
            **LIVENESS,
        )

    def shop_conninfo(self) -> str:
        """A libpq connection string to the shop's database. `PGOPTIONS` is the warehouse's: none of it goes there.

        Raises:
            StorehouseError: `SHOP_DATABASE_URL` is not one. The message has nothing of it: it may have a password.
        """
        try:
            place = conninfo_to_dict(self.shop_database_url or self.server.conninfo("shop"))
        except ProgrammingError:
            raise StorehouseError(
                "SHOP_DATABASE_URL is not a PostgreSQL connection string. One looks like "
                "postgresql://user:password@host:5432/database"
            ) from None
        return make_conninfo(**{"options": ""} | LIVENESS | place)

    def resolved_marketplace_url(self) -> str:
        """The marketplace API's base URL."""
        return self.marketplace_url or f"{self._demo_url()}/marketplace"

    def resolved_reviews_url(self) -> str:
        """The reviews API's base URL."""
        return self.reviews_url or self._demo_url()

    def resolved_stores_url(self) -> str:
        """The folder or bucket above `sales/`."""
        return self.stores_url or str(self.home / "demo" / "stores")

    def resolved_sales_export_url(self) -> str:
        """The folder or bucket that daily sales are exported to."""
        return self.sales_export_url or str(self.home / "export")

    def _demo_url(self) -> str:
        file = self.home / "demo" / "port"
        if not file.exists():
            raise StorehouseError(
                "The demo shop's API is not running. Start it with `make start`, "
                "or set MARKETPLACE_URL and REVIEWS_URL to yours."
            )
        return f"http://127.0.0.1:{file.read_text().strip()}"


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
        return Settings(_secrets_dir=folder)
    except OSError as error:
        raise StorehouseError(
            f"STOREHOUSE_SECRETS: {error.filename}: {error.strerror}. "
            "Mount the secrets there, a file a variable, readable for this user, or unset it."
        ) from error
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][0].upper()}={e['input']!r}: {e['msg']}" for e in error.errors())
        raise StorehouseError(f"A setting in the environment is wrong. {wrong}") from error
