"""What readers see: of each group of marts, which build stands published, and what holds back the next."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from storehouse.core import transform
from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import one_value


class Group(NamedTuple):
    """A group of marts that are published together. What is None was never so."""

    name: str
    position: int | None
    run_id: str | None
    code_version: str | None
    published_at: datetime | None
    held_back: str | None
    held_back_at: datetime | None

    @property
    def stands(self) -> str:
        """Which build readers see."""
        if not self.published_at:
            return "nothing yet"
        position = "" if self.position is None else f"position {self.position:,}, "
        return f"{position}{self.published_at:%Y-%m-%d %H:%M} UTC, {self.run_id}, code {self.code_version}"

    @property
    def waits(self) -> str:
        """Why the next build is not published, and since when."""
        at = f"{self.held_back_at:%Y-%m-%d %H:%M} UTC" if self.held_back_at else ""
        return f"not published: {self.name}, {at}: {self.held_back}. Its readers keep what they have."


def lines(groups: Sequence[Group]) -> list[str]:
    """What a person reads: the builds that stand, those of one build on one line, and why not the next."""
    builds: dict[str, list[str]] = {}
    for group in groups:
        builds.setdefault(group.stands, []).append(group.name)
    return [
        *(f"published: {', '.join(names)}: {build}" for build, names in builds.items()),
        *(group.waits for group in groups if group.held_back),
    ]


def groups() -> list[Group]:
    """All that are published, by name; none before the first build."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        return read(warehouse)


def read(warehouse: psycopg.Connection) -> list[Group]:
    """The same, by a connection that is open."""
    if one_value(warehouse, "select to_regclass('converge.published') is null"):
        return []
    with warehouse.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute(
            "select group_name, bound, run_id, code_version, published_at, held_back, held_back_at "
            "from converge.published order by group_name"
        )
        return [Group(*row) for row in cursor]


def held_back(names: Sequence[str] = ()) -> list[str]:
    """Of these groups (all by default), why the last build of each is not published, a line each."""
    return [group.waits for group in groups() if group.held_back and (not names or group.name in names)]


def publish(names: Sequence[str]) -> list[Group]:
    """Publish these groups, as the end of a `dbt build` does; returns what stands then.

    Raises:
        TransientError: it failed, and may not the next time.
        StorehouseError: it failed, or a group is held back: its readers keep what they have.
    """
    transform.operate("converge.publish", groups=list(names))
    if waits := held_back(names):
        raise StorehouseError(" ".join(waits))
    return [group for group in groups() if group.name in names]


def main() -> int:
    """Print what stands; the exit code is 1 when a group is held back."""
    found = groups()
    print("\n".join(lines(found)) or "Nothing is published yet: make run")
    return 1 if any(group.held_back for group in found) else 0
