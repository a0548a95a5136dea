"""Forgetting a person: what is personal is overwritten where it landed, the models follow, and a search proves it.

The tags in YAML say where to look (`places`). What is theirs is written down (`sought`), overwritten in raw (`erase`),
and sought everywhere (`proof`). docs/privacy.md says more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg import errors, sql

from storehouse.core import transform
from storehouse.core.databases import Advice, Database, open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.transform import DAILY
from storehouse.laptop import local
from storehouse.operate import published
from storehouse.operate.forget import erase, places, proof, sought


def forget(customers: list[str]) -> int:
    """Erase the customers (`web-…`, `mkt-…`) from raw and from all that is built of it; returns the exit code.

    Raw is updated as the role of the duty `forget`, the rest is built and searched as `transform`: neither needs more.
    Safe to kill and to repeat: what was begun, and is not proven yet, is ended first.

    Raises:
        StorehouseError: nobody has such an id; raw is not plain tables; the role may not.
    """
    local.start()
    transform.names(["--resource-type", "source"])
    landed = list(places.landed())
    with _connect("forget") as raw, raw.speaking(_ADVICE), _connect("transform") as warehouse:
        with raw.transaction():
            erase.wait_for_loads(raw, landed)
        # No statement here has a value in it: a server that logs statements logs none.
        with raw.transaction():
            erase.hold_plain(raw, landed)
            if not sought.collect(raw, landed, customers):
                sought.drop(raw)
                print(f"{', '.join(customers)}: forgotten before, nothing of theirs is left.")
                return 0
            sought.tell_of_shared(raw)
        for place, rows in proof.found_in(warehouse).items():
            say("stands in", f"{place:<56}{rows:>9,} rows")
        with raw.transaction():
            erase.hold_plain(raw, landed)
            erase.overwrite(raw, landed)
        erase.invalidate(warehouse)
        if failures := transform.build(DAILY):
            raise StorehouseError(
                "Raw is erased, but the build that carries it on failed. Mend it, then run this again:\n  "
                + "\n  ".join(failures)
            )
        if waits := published.held_back():
            raise StorehouseError(
                "Raw is erased, but readers still see what was built before. Mend it, then run this again:\n  "
                + "\n  ".join(waits)
            )
        # Rows that publications replaced, which readers could be taken back to.
        transform.operate("converge.forget_undo")
        # Old versions of a row, and samples of it in the planner's statistics, hold the values too.
        for owner, tables in ((raw, landed), (warehouse, places.built())):
            for table in {place.name: place.table for place in tables}.values():
                owner.execute(sql.SQL("vacuum (analyze) {}").format(table))
        return proof.prove(raw, warehouse, landed)


_ADVICE: Advice = {
    errors.InsufficientPrivilege: "Set FORGET_USER and FORGET_PASSWORD to the role that may update raw: "
    "deploy/roles.sql makes one (docs/deploy.md). What was begun is ended by running this again."
}


@contextmanager
def _connect(duty: Literal["forget", "transform"]) -> Iterator[Database]:
    with open_warehouse(duty) as connection:
        connection.execute("set search_path to pg_catalog")
        connection.add_notice_handler(_tell_of_a_skipped_vacuum)
        yield connection


def _tell_of_a_skipped_vacuum(notice: errors.Diagnostic) -> None:
    """Before PostgreSQL 17 only its owner may vacuum a table."""
    said = notice.message_primary or ""
    if notice.severity_nonlocalized == "WARNING" and said.startswith("permission denied"):
        say("vacuum", f"{said}: let an administrator run vacuum (analyze) on it")
