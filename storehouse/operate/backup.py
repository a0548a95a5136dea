"""Back-ups of a whole PostgreSQL server: a full one, then only what changed since, by PostgreSQL's own programs.

A back-up of the embedded server also has what a restored warehouse needs of the home folder beside it: the superuser's
password, the key that masks personal data, the files of the demo's stores and Airflow's keys.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import TypeAdapter

from storehouse.core.errors import StorehouseError, said_by
from storehouse.core.progress import say
from storehouse.core.queries import one_row
from storehouse.core.settings import settings
from storehouse.laptop.server import our_major, program, server_of_this_home

# What the home has beside the server's data. Logs, exports and what dbt writes are made anew.
BESIDE = ("postgres/password", "pii_key", "demo/stores", "airflow/airflow.cfg")
ABOUT = "backup.json"
# A folder that is being made or removed: no back-up.
PART = ".part"
WHO_MAY = (
    "Name a role in BACKUP_USER and BACKUP_PASSWORD that may. As a superuser: "
    "create role backup login replication; grant pg_monitor to backup (docs/backup.md)"
)
_SERVER = """
    select
        current_setting('server_version_num')::int,
        (select system_identifier::text from pg_control_system()),
        (select timeline_id from pg_control_checkpoint()),
        -- Since when it lives this life. Two restores of one back-up begin the same timeline.
        (
            select modification from pg_ls_waldir()
            where name = (select lpad(upper(to_hex(timeline_id)), 8, '0') || '.history' from pg_control_checkpoint())
        ),
        current_setting('summarize_wal', true),
        (select sum(pg_database_size(oid))::bigint from pg_database),
        (select string_agg(datname, ', ' order by datname) from pg_database where datallowconn and not datistemplate)
"""


class _Source(NamedTuple):
    """The server that is backed up. `size` is in bytes."""

    version: int
    system: str
    timeline: int
    since: datetime | None
    summarizes: str | None
    size: int
    databases: str

    @property
    def major(self) -> int:
        return self.version // 10_000


@dataclass(frozen=True)
class About:
    """What a back-up says of itself.

    Attributes:
        base: the name of the one whose changes it holds; None: it is full.
        began_at: when it was begun, in UTC.
        version: of the server, as `server_version_num`.
        system: the server's identifier; a restored copy has the same.
        timeline: that it was in.
        databases: their names.
        is_embedded: whether it is of an embedded server.
        since: when the timeline began; None: the server was never restored.
        beside: SHA-256 of the files of the home, by their path.
    """

    base: str | None
    began_at: datetime
    version: int
    system: str
    timeline: int
    databases: str
    is_embedded: bool
    since: datetime | None = None
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The major version of its server."""
        return self.version // 10_000


_ABOUT = TypeAdapter(About)


class Backup(NamedTuple):
    """A back-up that is whole: a folder with `data`, `home` and what it says of itself."""

    folder: Path
    about: About

    @property
    def data(self) -> Path:
        """The server's data: whole, or of an incremental one the blocks that changed."""
        return self.folder / "data"

    @property
    def home(self) -> Path:
        """The files of the home folder."""
        return self.folder / "home"

    @property
    def kind(self) -> str:
        """In one word, as in its name."""
        return "incremental" if self.about.base else "full"

    @property
    def line(self) -> str:
        """Which, of when, and how large."""
        return f"{self.folder}  {self.about.began_at:%Y-%m-%d %H:%M:%S} UTC, {self.kind}, {in_mb(size_of(self.folder))}"


def main(to: Path | None, *, is_full: bool) -> int:
    """Back the server up, verify the result, remove what is too old, and print what was made and how to restore it.

    Args:
        to: the folder of back-ups; `backups` in the home.
        is_full: all of it, though an incremental back-up would do.

    Raises:
        StorehouseError: it failed. What was there is as it was.
    """
    began = time.monotonic()
    folder = folder_of(to)
    with told(), _alone(folder) as lock:
        conninfo, is_embedded = _place()
        source = _look(conninfo)
        base = None if is_full else _base(folder, source)
        say("backup", f"{'what changed since ' + base.folder.name if base else 'full'}: {source.databases}")
        try:
            made = _make(folder, source, conninfo, base, is_embedded, lock)
        except StorehouseError as error:
            # Without our own path, which it may quote.
            said = str(error).replace(str(folder), "")
            if not base or not any(
                word in said for word in ("WAL summar", "incremental backup", "timeline", "manifest")
            ):
                raise
            say("backup", f"no incremental one is possible: {error} So a full one is made.")
            made = _make(folder, source, conninfo, None, is_embedded, lock)
        _retire(folder, made)
    chain = chain_of(made)
    print(f"{made.line}, {time.monotonic() - began:.0f} s, verified")
    print(
        f"It needs {len(chain) - 1} before it, back to {chain[0].folder.name}." if made.about.base else "It is whole."
    )
    if is_embedded:
        print(
            f"Restore it beside this home: make restore FROM={made.folder} INTO=a new folder; or in its place: ", end=""
        )
        print(f"make stop, then make restore FROM={made.folder} FORCE=1")
    else:
        print("Restore it on your own server: docs/backup.md. PII_KEY is not in it: keep it with your passwords.")
    return 0


def folder_of(to: Path | None) -> Path:
    """The folder of back-ups: the one that is given, or the home's."""
    return (to or settings().home / "backups").resolve()


def backups(folder: Path) -> list[Backup]:
    """The back-ups of a folder that are whole, oldest first; what is none, and looks like one, is said."""
    found = []
    for file in sorted(folder.glob(f"*/{ABOUT}")):
        if not file.parent.name.endswith(PART):
            try:
                found.append(read(file.parent))
            except StorehouseError as error:
                say("backup", f"left out: {error}")
    return found


def read(folder: Path) -> Backup:
    """The back-up in a folder.

    Raises:
        StorehouseError: there is none, or it does not say what it is.
    """
    try:
        about = _ABOUT.validate_json((folder / ABOUT).read_bytes())
        if about.base and about.base != Path(about.base).name:
            raise ValueError("no name of a back-up beside it")
        return Backup(folder, about)
    except (OSError, ValueError):
        raise StorehouseError(
            f"{folder} is no back-up, or not a whole one: it has no {ABOUT} that can be read. "
            f"Those that are: make restore FROM={folder.parent}"
        ) from None


def chain_of(backup: Backup) -> list[Backup]:
    """The back-ups that it needs to be restored, a full one first, itself last.

    Raises:
        StorehouseError: one of them is missing.
    """
    chain = [backup]
    while base := chain[0].about.base:
        chain.insert(0, read(backup.folder.with_name(base)))
        if chain[0].about.began_at >= chain[1].about.began_at:
            raise StorehouseError(f"{chain[1].folder} names {base} as the one before it, which was made after it.")
    return chain


def verify(chain: list[Backup]) -> None:
    """Read all files of these back-ups and compare them with their checksums, and what belongs together.

    Raises:
        StorehouseError: one is damaged, or they do not belong together.
    """
    for backup in chain:
        _verify_files(backup)
    _verify_links(chain)


def size_of(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def in_mb(size: int) -> str:
    """Bytes, as a person reads them."""
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def told() -> Iterator[None]:
    """Within, an error about a file or a disk is one sentence."""
    try:
        yield
    except OSError as error:
        raise StorehouseError(f"{error.filename or 'A file'}: {error.strerror or error}.") from error


def _verify_files(backup: Backup) -> None:
    # Only a program of the same version can read the log that a back-up has with it.
    foreign = [] if backup.about.major == our_major() else ["--no-parse-wal"]
    program("pg_verifybackup", "--quiet", *foreign, backup.data)
    found = _checksums(backup.home)
    for name in sorted(backup.about.beside.keys() | found.keys()):
        if backup.about.beside.get(name) != found.get(name):
            raise StorehouseError(f"{backup.home / name} is not what was backed up: the back-up is damaged.")


def _checksums(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _verify_links(chain: list[Backup]) -> None:
    if len(chain) > 1:
        program("pg_combinebackup", "--dry-run", "-o", chain[-1].folder / "dry", *(one.data for one in chain))


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Within, no other process backs up into this folder, and nothing of a killed one is left."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorehouseError(f"Another back-up into {folder} is at work. Wait until it has ended.") from None
        for left in folder.glob(f"[0-9]*Z-*{PART}"):
            shutil.rmtree(left)
        yield lock.fileno()


def _place() -> tuple[str, bool]:
    """Where the server is, and whether it is the embedded one, which is started if it does not run."""
    if not settings().is_embedded:
        return settings().warehouse_conninfo("backup"), False
    server = server_of_this_home()
    if not server.is_running and not (server.data / "PG_VERSION").exists():
        raise StorehouseError(f"There is nothing to back up in {settings().home} yet: make run")
    return server.start().conninfo(), True


def _look(conninfo: str) -> _Source:
    with psycopg.connect(conninfo) as connection:
        try:
            return _Source(*one_row(connection, _SERVER))
        except psycopg.errors.InsufficientPrivilege as error:
            raise StorehouseError(f"{said_by(error)}. {WHO_MAY}") from None


def _base(folder: Path, source: _Source) -> Backup | None:
    """The last back-up, if the next one can be what changed since; else None, and why is said."""
    found = _of_this_server(folder, source.system)
    if not found:
        return None
    last = found[-1]
    try:
        chain = chain_of(last)
        began = chain[0].about.began_at
        days = settings().backup_full_days
        if source.major != our_major():
            why = f"PostgreSQL {source.major} has no incremental back-ups that the programs here can verify"
        elif source.summarizes != "on":
            why = "summarize_wal is off: set it to on (the embedded server: make stop, then make start)"
        elif (last.about.timeline, last.about.since) != (source.timeline, source.since):
            why = "this server was restored since the last one"
        elif datetime.now(UTC) - began >= timedelta(days=days):
            why = f"the last full one is older than {days:g} days (BACKUP_FULL_DAYS)"
        else:
            verify(chain)
            return last
    except StorehouseError as error:
        why = f"the last one can't be built on: {error}"
    say("backup", f"a full one, because {why.rstrip('.')}")
    return None


def _make(folder: Path, source: _Source, conninfo: str, base: Backup | None, is_embedded: bool, lock: int) -> Backup:
    """Make a back-up under another name, verify it, and give it its own in one step."""
    if not base and shutil.disk_usage(folder).free < source.size:
        raise StorehouseError(
            f"A full back-up may need {in_mb(source.size)}, and {in_mb(shutil.disk_usage(folder).free)} are free in "
            f"{folder}. Make room, or name another folder with TO=."
        )
    began = datetime.now(UTC)
    about = About(
        base.folder.name if base else None,
        began,
        source.version,
        source.system,
        source.timeline,
        source.databases,
        is_embedded,
        source.since,
    )
    name = f"{began:%Y%m%dT%H%M%S}.{began.microsecond // 1000:03}Z"
    whole = folder / f"{name}-{'incremental' if base else 'full'}"
    part = whole.with_name(whole.name + PART)
    part.mkdir(mode=0o700)
    try:
        place = conninfo_to_dict(conninfo)
        password = str(place.pop("password", None) or "")
        where = make_conninfo("", **place)
        since = ["--incremental", base.data / "backup_manifest"] if base else []
        how = ["-X", "stream", "--checkpoint=fast", "--no-password", *since]
        try:
            program("pg_basebackup", "-d", where, "-D", part / "data", *how, password=password, holding=lock)
        except StorehouseError as error:
            if "permission denied" not in str(error):
                raise
            raise StorehouseError(f"{error} {WHO_MAY}") from None
        if is_embedded:
            _copy_beside(settings().home, part / "home")
            about = replace(about, beside=_checksums(part / "home"))
        made = Backup(part, about)
        _verify_files(made)
        if base:
            _verify_links([*chain_of(base), made])
        with (part / ABOUT).open("wb") as file:
            file.write(_ABOUT.dump_json(about, indent=2))
            file.flush()
            os.fsync(file.fileno())
        part.rename(whole)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Backup(whole, about)


def _copy_beside(home: Path, to: Path) -> None:
    for name in BESIDE:
        file, copy = home / name, to / name
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if file.is_dir():
            shutil.copytree(file, copy)
        else:
            with suppress(FileNotFoundError):
                shutil.copy2(file, copy)


def _of_this_server(folder: Path, system: str) -> list[Backup]:
    return [backup for backup in backups(folder) if backup.about.system == system]


def _retire(folder: Path, made: Backup) -> None:
    """Remove all but the newest chains of this server; of a chain the last one first, so that what is left is whole.

    What was made just now stays, whatever the clock says.
    """
    found = _of_this_server(folder, made.about.system)
    full = [backup for backup in found if not backup.about.base]
    kept = {backup.folder.name for backup in full[-settings().backup_chains :]} | {chain_of(made)[0].folder.name}
    for backup in reversed(found):
        try:
            first = chain_of(backup)[0].folder.name
        except StorehouseError:
            continue  # It can't be restored, and may be of use to who looks into it.
        if first not in kept:
            gone = backup.folder.rename(backup.folder.with_name(backup.folder.name + PART))
            shutil.rmtree(gone)
            say("backup", f"removed {backup.folder.name}: {len(kept)} newer full ones are kept (BACKUP_CHAINS)")
