"""The declaration of a table of a PostgreSQL database."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from extract_load.declarations.common import Declaration, Reconcile, Strict, Type, Words
from extract_load.declarations.mistakes import Wrong


class Wal(Strict, frozen=True):
    """How much WAL a slot may hold back at the source, and what is done about more."""

    warn_gb: float = Field(default=5, gt=0, description="a load warns from so many GB on, such as 5")
    limit_gb: float = Field(default=50, gt=0, description="what the source can spare, in GB, such as 50")
    beyond: Literal["fail", "drop_slot"] = Field(
        default="fail", description="what a load does when more is held after it: fail or drop_slot"
    )


class Postgres(Declaration, frozen=True):
    """A table or view of a database."""

    schema_: Words = Field(
        default="public", alias="schema", description="a schema, or the variable that names it, such as SHOP_SCHEMA"
    )
    table: Words | None = Field(default=None, description="its name at the source, if that is another")
    read: Literal["full", "updated_at", "change_log"]
    version: Words | None = Field(default=None, description="the column that grows with every change: updated_at")
    deleted: Words | None = Field(default=None, description="the column with the time of a delete: deleted_at")
    columns: dict[str, Type] = Field(
        min_length=1, description="names and types, such as {order_id: text}; text takes any type"
    )
    optional: list[str] = Field(default_factory=list, description="those of the columns that the source may lack")
    reconcile: Reconcile = Field(
        default="never", description="what is compared with the source once a day: never, keys or columns"
    )

    publication: Words = Field(
        default="storehouse", description="of a table that is read by change_log, the publication that has it"
    )
    slot: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_]{1,63}$",
        description="the source's replication slot, lower case letters, digits and _: such as storehouse_shop",
    )
    wal: Wal = Field(
        default=Wal(), description="what the slot may hold at the source: {warn_gb: 5, limit_gb: 50, beyond: fail}"
    )
    failover: bool = Field(default=True, description="whether the slot goes on at a standby (PostgreSQL 17 and later)")

    @property
    def place(self) -> str | None:
        """Its name, where that is another."""
        return self.table

    def named(self) -> dict[str, list[str]]:
        """Those that the source may lack too."""
        return super().named() | {"optional": self.optional}

    def wrong(self) -> Iterator[Wrong]:
        """What belongs to the way of reading, and the types of times."""
        yield from super().wrong()
        if self.read == "full":
            if self.version:
                yield Wrong("version", "leave it out: a table that is read in full is compared with what has landed")
            if self.reconcile != "never":
                yield Wrong("reconcile", "leave it out: a table that is read in full is compared with every load")
            if self.statistics:
                yield Wrong("statistics", "leave it out: of a table that is read in full only the differences land")
        elif self.read == "change_log":
            if self.version:
                yield Wrong("version", "leave it out: the source's own log says which change is the last")
            if self.reconcile != "never":
                yield Wrong("reconcile", "leave it out: the source's own log has every change")
            if self.statistics:
                yield Wrong(
                    "statistics", "leave it out: a change log has no time of change by which they could be compared"
                )
            if self.wal.limit_gb < self.wal.warn_gb:
                yield Wrong("wal.limit_gb", "it must be at least warn_gb")
        elif not self.version:
            yield Wrong("version", f"it is missing; it is {Postgres.model_fields['version'].description}")
        for field, name in (("version", self.version), ("deleted", self.deleted)):
            if name and self.columns.get(name, "timestamptz") != "timestamptz":
                yield Wrong(field, f"{name} must be promised as timestamptz in columns")
        for field, names in {"key": self.key, "version": [self.version]}.items():
            for name in names:
                if name in self.optional:
                    yield Wrong("optional", f"{name} is of the {field}: the source can't lack it")
