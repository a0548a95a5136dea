"""What readers see: which build of each group of marts, what holds back the next, and which can be gone to."""

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
        why = str(self.held_back).replace("converge.republish", f"make republish GROUP={self.name}")
        return f"not published: {self.name}, {at}: {why}. Its readers keep what they have."


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


def unpublish(group: str, to: int | None) -> int:
    """Take what readers see of a group back to an earlier publication (the one before), and print what stands then.

    Raises:
        StorehouseError: there is no such group, or no such publication is kept: those that are.
    """
    transform.operate("converge.unpublish", group=group, to=to)
    print("\n".join(lines(groups())))
    print(f"Readers in Redis and of Parquet files: make publish. On to what is built: make republish GROUP={group}")
    return 0


def republish(group: str) -> int:
    """End what `unpublish` began: publish what is built, and print what stands then; 1 when it is held back.

    Raises:
        StorehouseError: there is no such group.
    """
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        is_back = "select taken_back_at is not null from converge.published where group_name = %s"
        if warehouse.execute(is_back, [group]).fetchone() == (False,):
            print(f"Readers of {group} were not taken back: nothing is changed.")
            return main()
    transform.operate("converge.republish", group=group)
    print("\n".join([*lines(groups()), *_kept()]))
    if held_back([group]):
        print("Not republished: its readers stay where they were taken back to.")
        return 1
    print("Readers in Redis and of Parquet files: make publish")
    return 0


def main() -> int:
    """Print what stands, and which publications can be gone to; the exit code is 1 when a group is held back."""
    found = groups()
    print("\n".join([*lines(found), *_kept()]) or "Nothing is published yet: make run")
    return 1 if any(group.held_back for group in found) else 0


def _kept() -> list[str]:
    """The publications that a group can be taken back to, or forward, newest first, a line each."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        if one_value(warehouse, "select to_regclass('converge.publications') is null"):
            return []
        rows = warehouse.execute(
            "select kept.group_name, kept.publication, coalesce(kept.bound, 0), kept.published_at, kept.run_id, "
            "kept.code_version, kept.publication = published.publication "
            "from converge.publications as kept join converge.published as published using (group_name) "
            "order by kept.group_name, kept.publication desc"
        ).fetchall()
    return [
        f"  {name:<14}{number:>6}  position {bound:,}, {at:%Y-%m-%d %H:%M} UTC, {run_id}, code {code}"
        f"{'  <- readers see it' if stands else ''}"
        for name, number, bound, at, run_id, code, stands in rows
    ]
