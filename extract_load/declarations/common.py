"""What every declaration says, however its table is read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from extract_load.declarations.mistakes import Wrong
from storehouse.core.settings import VARIABLE

# Columns that raw gives itself.
OWN_COLUMNS = {"_load_id", "_row", "_op", "_supersedes", "_partition", "_file", "_line"}
# What else of a record can be personal than its members: the text of one that could not be read.
UNREADABLE = "_unreadable"

_PERSON = re.compile(r"[^{}]*{([^{}]+)}")

Words = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Words], Field(min_length=1)]
Type = Literal["text", "boolean", "integer", "numeric", "timestamptz"]
Kind = Literal["updated_at", "interval", "full", "change_log"]
Reconcile = Literal["never", "keys", "columns"]
Variable = Annotated[str, Field(pattern=f"^{VARIABLE.pattern}$")]
# Messages hide what variables of such names hold.
Secret = Annotated[str, Field(pattern=r"^[A-Z0-9_]*(PASSWORD|SECRET|TOKEN|KEY)$")]


class Strict(BaseModel, frozen=True):
    """A part of a declaration."""

    # `5` is a number and `"5"` is not; a word that nobody knows is a mistake.
    model_config = ConfigDict(extra="forbid", strict=True)


class RefusedLimit(Strict, frozen=True):
    """Above this share of refused records a build stops at the table's staging model."""

    limit_percent: float = Field(ge=0, le=100, description="the highest percentage of one run's records, such as 5")
    least_refused: int = Field(ge=1, description="fewer refused records than this never stop a build, such as 20")
    reason: Words = Field(description="why the limit is this high, in words")


class Freshness(Strict, frozen=True):
    """For how long the table may have nothing new while other tables do."""

    warn_hours: int = Field(ge=1, le=87_600, description="hours until a test warns, such as 26")
    error_hours: int = Field(ge=1, le=87_600, description="hours until the run fails, such as 194")
    reason: Words = Field(description="why these hours, in words")


class Declaration(Strict, frozen=True):
    """What every declared table says, however it is read. A connector's own has more fields, or narrower ones."""

    connector: str
    connection: Variable = Field(
        description="the name of the variable that says where the source is, never its value: such as SHOP_DATABASE_URL"
    )
    key: Names = Field(description="the columns that identify a row at the source, such as [order_id]")
    person: str | None = Field(default=None, description="whose a row is, such as web-{customer_id}")
    refused: RefusedLimit = Field(
        description="the share of refused records that stops a build: {limit_percent: 5, least_refused: 20, reason: …}"
    )
    freshness: Freshness = Field(
        description="how long nothing new is normal: {warn_hours: 26, error_hours: 194, reason: …}"
    )
    statistics: dict[str, Literal["text", "code", "number"]] = Field(
        default_factory=dict, description="columns of the judged model, each text, code or number"
    )
    read: Kind
    version: str | None = Field(default=None, description="the column that grows with every change: updated_at")
    deleted: str | None = Field(default=None, description="the column that tells a delete")
    # Typed columns, or the members of a record that lands as one `payload`.
    columns: Mapping[str, Type] | Sequence[str]

    @property
    def place(self) -> str | None:
        """Where the table is at the source; None: under its own name."""
        return None

    @property
    def is_record(self) -> bool:
        """Whether a row lands as one `payload`, and not in columns of its own."""
        return not isinstance(self.columns, Mapping)

    @property
    def lands_in(self) -> dict[str, str]:
        """The columns of its raw table before anything was landed, and PostgreSQL's types; raw adds its own to them."""
        return dict(self.columns) if isinstance(self.columns, Mapping) else {"payload": "jsonb", "_partition": "text"}

    @property
    def may_be_personal(self) -> set[str]:
        """The columns, or the members of a record, that `person` and `pii` can name."""
        return {*self.columns, *([UNREADABLE] if self.is_record else [])}

    def named(self) -> dict[str, list[str]]:
        """The columns that the other fields name."""
        named = {"key": self.key}
        return named | {field: [name] for field in ("version", "deleted") if (name := getattr(self, field))}

    def wrong(self) -> Iterator[Wrong]:
        """What is wrong although each field alone is right."""
        columns = list(self.columns)
        for field, names in self.named().items():
            for name in names:
                if name not in columns:
                    near = get_close_matches(name, columns, n=1)
                    yield Wrong(field, f"{name} is not among its columns" + (f"; is it {near[0]}?" if near else ""))
        for field, names in {"columns": columns, "key": self.key}.items():
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield Wrong(field, f"{name} stands twice; keep one of them")
        for name in sorted(OWN_COLUMNS & set(columns)):
            yield Wrong("columns", f"{name} is a name that raw uses for itself; read a view that names it otherwise")
        if self.freshness.error_hours <= self.freshness.warn_hours:
            yield Wrong("freshness.error_hours", "it must be more than warn_hours")
        if self.person is not None:
            of = _PERSON.fullmatch(self.person)
            column, _, path = (of[1] if of else "").partition(".")
            if self.is_record:
                column = path.partition(".")[0] if column == "payload" else ""
            if column not in self.may_be_personal:
                example = "web-{payload.customer_id}" if self.is_record else "web-{customer_id}"
                yield Wrong("person", f"it must be a prefix and one of the columns in braces, such as {example}")
