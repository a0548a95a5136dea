"""Restoring a back-up of the embedded server into a home folder: whole, or not at all.

All is verified, put together and started once beside what is there. Only then it takes its place, by renaming; what
stood there is kept aside. A list of these steps is written before the first: who is killed between two ends it later.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from storehouse.core.embedded import RESTORE_STEPS
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.queries import one_value
from storehouse.core.settings import settings
from storehouse.laptop.server import Server, our_major, program
from storehouse.operate.backup import (
    ABOUT,
    BESIDE,
    PART,
    Backup,
    backups,
    chain_of,
    folder_of,
    read,
    told,
    verify,
)

# What a home has one of, each moved as a whole.
PIECES = ("postgres", *(name for name in BESIDE if not name.startswith("postgres/")))


def main(from_: Path | None, into: Path | None, *, is_forced: bool) -> int:
    """Restore a back-up, or list those that there are; print what stands where.

    Args:
        from_: a back-up's folder; a folder of back-ups, or none for the home's, lists them.
        into: another home folder than this one.
        is_forced: put it in the place of what is there, which is kept aside.

    Raises:
        StorehouseError: it can't be done, or is not asked for clearly enough. All is as it was.
    """
    with told():
        home = (into or settings().home).resolve()
        if not (home / RESTORE_STEPS).exists() and (from_ is None or not (from_ / ABOUT).exists()):
            return _list(folder_of(from_))
        with _alone(home):
            if (home / RESTORE_STEPS).exists():
                _take_steps(home)
                print(f"The restore that was interrupted is done: {home}")
            else:
                assert from_
                _restore(read(from_.resolve()), home, is_forced)
    return 0


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Within, no other process restores into this home."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StorehouseError(f"Another restore into {home} is at work. Wait until it has ended.") from None
    finally:
        os.close(lock)


def _list(folder: Path) -> int:
    found = backups(folder)
    if not found:
        raise StorehouseError(f"{folder} is no back-up, and has none in it. To make one: make backup")
    print("\n".join(backup.line for backup in found))
    print("Which? make restore FROM=… INTO=a new folder; or in this home's place: make restore FROM=… FORCE=1")
    return 0


def _restore(backup: Backup, home: Path, is_forced: bool) -> None:
    chain = chain_of(backup)
    _refuse(backup, home, is_forced)
    say("restore", f"verifying {len(chain)} back-up{'s' * (len(chain) > 1)}, {chain[0].folder.name} first")
    verify(chain)
    beside = _beside(home)
    # Of a restore that was killed.
    Server(beside / "postgres").stop()
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "postgres").mkdir(parents=True, mode=0o700)
    try:
        say("restore", "putting the data together")
        program("pg_combinebackup", *(one.data for one in chain), "-o", beside / "postgres" / "data")
        if backup.home.exists():
            shutil.copytree(backup.home, beside, dirs_exist_ok=True)
        databases = _start_once(Server(beside / "postgres", options={"restore_command": "false"}))
        aside = home / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        pieces = [piece for piece in PIECES if (beside / piece).exists()]
        # Again: it took a while.
        _refuse(backup, home, is_forced)
        written = home / f"{RESTORE_STEPS}{PART}"
        written.write_text(json.dumps({"aside": aside.name, "pieces": pieces}))
        written.rename(home / RESTORE_STEPS)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _take_steps(home)
    print(f"Restored as of {backup.about.began_at:%Y-%m-%d %H:%M:%S} UTC into {home}: {databases}")
    if aside.exists():
        print(f"What stood there is in {aside}: remove it when you don't need it any more.")
    ours = "" if home == settings().home else f"STOREHOUSE_HOME={home} "
    print(f"Next: {ours}make run, which lands what came since. Then compare with the sources: ", end="")
    print(f'{ours}make reconcile ARGS="--compare columns" (docs/runbook.md#a-database-was-restored)')


def _beside(home: Path) -> Path:
    """Where what is restored is put together and waits."""
    return home / f"restoring{PART}"


def _refuse(backup: Backup, home: Path, is_forced: bool) -> None:
    about = backup.about
    if not about.is_embedded:
        raise StorehouseError(
            f"{backup.folder} is a back-up of a server of your own, whose configuration, start and stop are yours. "
            "docs/backup.md says how to restore it: pg_combinebackup, then start the server on its result."
        )
    if about.major != our_major():
        raise StorehouseError(
            f"{backup.folder} is of PostgreSQL {about.major}, the programs here are of {our_major()}. "
            "Restore it with the version of Storehouse that made it."
        )
    if Server(home / "postgres").is_running:
        raise StorehouseError(
            f"The embedded PostgreSQL of {home} is running. Restore beside it, INTO=a new folder; or stop it first: "
            f"{'' if home == settings().home else f'STOREHOUSE_HOME={home} '}make stop"
        )
    there = [piece for piece in PIECES if (home / piece).exists()]
    if there and not is_forced:
        raise StorehouseError(
            f"{home} has {', '.join(there)} already. Restore beside it, INTO=a new folder; or in its place, with "
            "FORCE=1: what is there is then kept aside."
        )


def _start_once(server: Server) -> str:
    """Start the server, which replays the log that its back-up has, and stop it; its databases.

    It goes on in a timeline of its own: no later back-up can take what it writes for what followed once before.
    """
    say("restore", "starting it once")
    if not (server.data / "PG_VERSION").exists():
        raise StorehouseError(f"{server.data} is gone. Nothing was changed; restore again.")
    signal = server.data / "recovery.signal"
    signal.touch()
    server.give(signal)
    try:
        with server.start().open() as connection:
            # It lets readers in before it has replayed all.
            while one_value(connection, "select pg_is_in_recovery()"):
                time.sleep(0.05)
            databases = "select string_agg(datname, ', ' order by datname) from pg_database where not datistemplate"
            return one_value(connection, databases)
    finally:
        if server.data.joinpath("postmaster.pid").exists():
            program("pg_ctl", "-D", server.data, "-m", "fast", "-w", "stop")


def _take_steps(home: Path) -> None:
    """Put each piece that still waits in its place, after what stands there is put aside, and remove the list."""
    steps = json.loads((home / RESTORE_STEPS).read_text())
    for piece in steps["pieces"]:
        waits, place, aside = _beside(home) / piece, home / piece, home / steps["aside"] / piece
        if waits.exists():
            # A key that a command has made meanwhile is nobody's.
            if place.exists() and not aside.exists():
                aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                place.rename(aside)
            place.parent.mkdir(parents=True, exist_ok=True)
            waits.rename(place)
    (home / RESTORE_STEPS).unlink()
    shutil.rmtree(_beside(home), ignore_errors=True)
