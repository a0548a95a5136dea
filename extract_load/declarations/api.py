"""The declaration of a list of an API that answers in JSON."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from extract_load.declarations.common import Declaration, Names, Secret, Strict, Variable, Words
from extract_load.declarations.mistakes import Wrong, one_of


class Auth(Strict, frozen=True):
    """With what an API is asked: names of variables, never their values."""

    by: Literal["bearer", "basic", "header", "query", "oauth"]
    token: Secret | None = Field(default=None, description="the variable with the token, such as STRIPE_KEY")
    user: Variable | None = Field(default=None, description="the variable with the user's name, such as STORE_USER")
    password: Secret | None = Field(default=None, description="the variable with the password, such as STORE_PASSWORD")
    name: Words | None = Field(default=None, description="the header or parameter that takes the key: X-Api-Key")
    key: Secret | None = Field(default=None, description="the variable with the key, such as STORE_KEY")
    token_url: str | None = Field(
        default=None,
        pattern=r"^(/\S*|[A-Z][A-Z0-9_]*)$",
        description="where a token is asked for: a path below the connection (/oauth/token) or a variable with a URL",
    )
    client_id: Variable | None = Field(default=None, description="the variable with the client's id: STORE_CLIENT")
    client_secret: Secret | None = Field(
        default=None, description="the variable with the client's secret, such as STORE_CLIENT_SECRET"
    )
    client_in: Literal["header", "body"] = Field(default="header", description="where the client's id and secret go")
    scope: Words | None = Field(default=None, description="the scope to ask for, such as orders.read")
    audience: Words | None = Field(default=None, description="the audience to ask for, if the server wants one")


class AskedBy(Strict, frozen=True):
    """How an API is asked for the records of an interval."""

    from_: Words | None = Field(default=None, alias="from", description="the parameter of its start: updated_since")
    until: Words | None = Field(default=None, description="the parameter of its end, if there is one: updated_before")
    filter: dict[Words, Words] = Field(
        default_factory=dict,
        max_length=1,
        description="a parameter with both in one text, such as {$filter: 'Changed ge {from} and Changed lt {until}'}",
    )
    format: Literal["iso", "iso_seconds", "epoch_seconds", "epoch_milliseconds", "date"] = Field(
        default="iso", description="how times are written"
    )
    from_excluded: bool = Field(default=False, description="true if records of exactly `from` are not sent")

    @property
    def has_until(self) -> bool:
        """True if the end can be asked for too."""
        return bool(self.until) or any("{until}" in text for text in self.filter.values())


class Pages(Strict, frozen=True):
    """How the pages of a list follow each other."""

    by: Literal["none", "number", "offset", "cursor", "last", "link", "next"]
    parameter: Words | None = Field(default=None, description="the parameter that asks for a page, such as page")
    first: int = Field(default=1, ge=0, le=1, description="the number of the first page: 1 or 0")
    at: Words | None = Field(default=None, description="the path of the page's own number in the answer, such as page")
    cursor: Words | None = Field(default=None, description="the path of the next cursor, such as meta.next_cursor")
    last: Words | None = Field(default=None, description="the member of a page's last record to go on after: id")
    next: Words | None = Field(default=None, description="the path of the next page's URL, such as @odata.nextLink")
    more: Words | None = Field(default=None, description="the path of the flag that is true if more follow: has_more")
    total: Words | None = Field(default=None, description="the path of the number of all records, such as total")
    total_header: Words | None = Field(default=None, description="the header with the number of all: X-WP-Total")
    count: Words | None = Field(default=None, description="the path of the number of pages, such as pages")
    count_header: Words | None = Field(default=None, description="the header with the number of pages: X-WP-TotalPages")
    size: int | None = Field(default=None, ge=1, le=100_000, description="records a page to ask for, such as 100")
    size_parameter: Words | None = Field(default=None, description="the parameter that asks for it, such as per_page")
    most: int = Field(default=10_000, ge=1, le=10_000_000, description="so many pages a list has at most: 10000")
    shifts: bool | None = Field(
        default=None, description="false if a record that leaves the list moves no other one to another page"
    )

    @property
    def may_shift(self) -> bool:
        """True if a record may cross the edge of a page while the list is read."""
        return self.by not in ("none", "last") if self.shifts is None else self.shifts


class Api(Declaration, frozen=True):
    """The records of an API that answers in JSON; docs/sources/api.md has an example of each shape."""

    path: str = Field(pattern=r"^/[A-Za-z0-9._~/-]*$", description="the path below the connection, such as /orders")
    auth: Auth | None = Field(default=None, description="with what it is asked: {by: bearer, token: STRIPE_KEY}")
    parameters: dict[Words, str] = Field(
        default_factory=dict, description="parameters that stay the same, such as {status: any}"
    )
    read: Literal["interval", "full"]
    interval: AskedBy | None = Field(
        default=None, description="how an interval is asked for: {from: updated_since, until: updated_before}"
    )
    pages: Pages = Field(
        default=Pages(by="none"), description="how pages follow: {by: number, parameter: page, total: total}"
    )
    records: Words | None = Field(default=None, description="the path of the list of records, such as data")
    version: Words | None = Field(default=None, description="the member that grows with every change: updated_at")
    version_format: Literal["iso", "epoch_seconds", "epoch_milliseconds"] = Field(
        default="iso", description="how it is written"
    )
    deleted: Words | None = Field(default=None, description="the member that tells a delete, such as deleted")
    deleted_values: Names | None = Field(
        default=None, description="the values of it that do, such as [deleted, void]; true, if they are left out"
    )
    gone_is_deleted: bool = Field(
        default=False, description="true if a record that a full list no longer has is deleted"
    )
    columns: Names = Field(description="the members of a record, such as [order_id, updated_at]")
    partitions: dict[Words, Names] = Field(
        default_factory=dict,
        max_length=1,
        description="the parameter that asks for a part, and its values, such as {region: [us, eu]}",
    )
    rate: float | None = Field(default=None, gt=0, le=1000, description="requests a second at most, such as 2")
    hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?$")]] = Field(
        default_factory=list, description="other hosts that its links may lead to, such as [api2.example.com]"
    )
    health: str | None = Field(
        default=None, pattern=r"^/[A-Za-z0-9._~/-]*$", description="the path that says whether it is well: /health"
    )

    @property
    def place(self) -> str:
        """The path."""
        return self.path

    def named(self) -> dict[str, list[str]]:
        """Of a path the member that it begins with."""
        return {field: [name.partition(".")[0] for name in names] for field, names in super().named().items()}

    def wrong(self) -> Iterator[Wrong]:
        """What belongs to the way of reading, of asking, of signing in and of paging."""
        yield from super().wrong()
        for name, values in self.partitions.items():
            if len(set(values)) < len(values) or any("/" in value for value in values):
                yield Wrong(f"partitions.{name}", "each value must be there once and have no /")
        if self.read == "full":
            for field in ("interval", "version", "statistics"):
                if getattr(self, field):
                    yield Wrong(field, "leave it out: a list that is read in full is compared with what has landed")
        else:
            for field in ("interval", "version"):
                if not getattr(self, field):
                    yield Wrong(field, f"it is missing; it is {Api.model_fields[field].description}")
            if self.gone_is_deleted:
                yield Wrong("gone_is_deleted", "leave it out: only a list that is read in full tells what is gone")
        if self.deleted_values and not self.deleted:
            yield Wrong("deleted", f"it is missing; it is {Api.model_fields['deleted'].description}")
        if self.interval:
            yield from _wrong_of_interval(self.interval)
        yield from _wrong_of_choice("pages", self.pages, _PAGES, ["size", "size_parameter"])
        if self.auth:
            yield from _wrong_of_choice("auth", self.auth, _AUTH, [])
        pages = self.pages
        for one, other in (("size", "size_parameter"), ("size_parameter", "size")):
            if getattr(pages, one) and not getattr(pages, other):
                yield Wrong(f"pages.{other}", f"it is missing beside {one}")
        for one in ("total", "count"):
            if getattr(pages, one) and getattr(pages, f"{one}_header"):
                yield Wrong(f"pages.{one}_header", f"leave it out: {one} says it; or leave {one} out")


# What belongs to each way of asking, beside what belongs to all: what it needs, and what it may have.
_AUTH = {
    "bearer": (["token"], []),
    "basic": (["user", "password"], []),
    "header": (["name", "key"], []),
    "query": (["name", "key"], []),
    "oauth": (["token_url", "client_id", "client_secret"], ["client_in", "scope", "audience"]),
}
_TOTALS = ["total", "total_header", "shifts", "most"]
_PAGES = {
    "none": ([], []),
    "number": (["parameter"], ["first", "at", "more", "count", "count_header", *_TOTALS]),
    "offset": (["parameter"], ["more", *_TOTALS]),
    "cursor": (["parameter", "cursor"], ["more", *_TOTALS]),
    "last": (["parameter", "last"], ["more", *_TOTALS]),
    "link": ([], _TOTALS),
    "next": (["next"], _TOTALS),
}


def _wrong_of_choice(
    field: str, model: Auth | Pages, choices: dict[str, tuple[list[str], list[str]]], always: list[str]
) -> Iterator[Wrong]:
    """What a choice lacks, and what belongs to another one."""
    needs, may_have = choices[model.by]
    for name in needs:
        if getattr(model, name) is None:
            yield Wrong(f"{field}.{name}", f"it is missing; it is {type(model).model_fields[name].description}")
    for name in sorted(model.model_fields_set - {"by", *needs, *may_have, *always}):
        has_it = [by for by, names in choices.items() if name in (*names[0], *names[1])]
        yield Wrong(f"{field}.{name}", f"leave it out: it belongs to by: {one_of(has_it)}")


def _wrong_of_interval(asked: AskedBy) -> Iterator[Wrong]:
    if bool(asked.from_) == bool(asked.filter):
        yield Wrong("interval.from", "write the parameter of the start, such as updated_since, or else a filter")
    if asked.until and asked.filter:
        yield Wrong("interval.until", "leave it out: the filter has {until}")
    for name, text in asked.filter.items():
        if "{from}" not in text or set(re.findall(r"{[^}]*}", text)) - {"{from}", "{until}"}:
            yield Wrong(f"interval.filter.{name}", "it must have {from}, may have {until}, and nothing else in braces")
