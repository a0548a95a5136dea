"""The declaration of a table of a PostgreSQL database."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from extract_load.declarations.common import Declaration, Reconcile, Type, Words
from extract_load.declarations.mistakes import Wrong


class Postgres(Declaration, frozen=True):
    """A table or view of a database."""

    schema_: Words = Field(
        default="public", alias="schema", description="a schema, or the variable that names it, such as SHOP_SCHEMA"
    )
    table: Words | None = Field(default=None, description="its name at the source, if that is another")
    read: Literal["full", "updated_at"]
    version: Words | None = Field(default=None, description="the column that grows with every change: updated_at")
    deleted: Words | None = Field(default=None, description="the column with the time of a delete: deleted_at")
    columns: dict[str, Type] = Field(
        min_length=1, description="names and types, such as {order_id: text}; text takes any type"
    )
    optional: list[str] = Field(default_factory=list, description="those of the columns that the source may lack")
    reconcile: Reconcile = Field(
        default="never", description="what is compared with the source once a day: never, keys or columns"
    )

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
        elif not self.version:
            yield Wrong("version", f"it is missing; it is {Postgres.model_fields['version'].description}")
        for field, name in (("version", self.version), ("deleted", self.deleted)):
            if name and self.columns.get(name, "timestamptz") != "timestamptz":
                yield Wrong(field, f"{name} must be promised as timestamptz in columns")
        for field, names in {"key": self.key, "version": [self.version]}.items():
            for name in names:
                if name in self.optional:
                    yield Wrong("optional", f"{name} is of the {field}: the source can't lack it")
